"""Runs many commands one after the other in one process: `drive.py PLAN RESULTS`.

PLAN is a JSON list of argument lists. RESULTS gets their exit statuses and seconds and, since an
audit hook watches every command but the first, which is there to warm up, the events that no data
should cause. Run as a process of its own, since a hook cannot be taken off.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from dollymix import cli, formats

# What runs code, starts a process or talks to somebody.
WATCHED = (
    "code.__new__", "compile", "exec", "import", "marshal.loads", "os.exec", "os.fork",
    "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pickle.find_class", "pty.spawn",
    "socket.", "subprocess.Popen", "urllib.Request", "webbrowser.open", "ctypes.dlopen",
)  # fmt: skip
# What changes files: how many paths it names, and where its descriptors of folders stand.
CHANGES = {
    "os.link": (2, 2), "os.mkdir": (1, 2), "os.remove": (1, 1), "os.rename": (2, 2),
    "os.rmdir": (1, 1), "os.symlink": (2, 2), "os.chmod": (1, 2), "os.chown": (1, 3),
    "os.utime": (1, 3), "os.truncate": (1, 2), "shutil.rmtree": (1, 1),
}  # fmt: skip
# Code that the interpreter, the libraries and this program bring along.
_OWN = (sys.prefix, sys.base_prefix, Path(cli.__file__).parents[1])
OWN_CODE = tuple({str(Path(folder).resolve()) for folder in _OWN})


def own_types() -> set[bytes]:
    """The types of this program's structs as they are written: msgspec evaluates them."""
    found: set[bytes] = set()
    for name in [name for name in sys.modules if name.startswith("dollymix")]:
        for shape in vars(sys.modules[name]).values():
            if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
                found |= {text.encode() for text in shape.__annotations__.values()}
    return found


class Watch:
    """The events since the last time they were asked for."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[list[str]] = []
        self.written: set[str] = set()
        self.types: set[bytes] = set()
        self._typed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._opened(*arguments)
        elif event in CHANGES:
            count, folders = CHANGES[event]
            if all(folder in (-1, None) for folder in arguments[folders:]):
                self.written.update(_path(p) for p in arguments[:count] if not isinstance(p, int))
        elif event.startswith(WATCHED) and not self._is_own(event, arguments):
            self.events.append([event, repr(arguments)[:200]])

    def _is_own(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """True for the import of installed code, a key's type, and the card's template."""
        if event in ("import", "marshal.loads", "code.__new__"):
            return True  # what is imported is seen as `exec`
        if event == "compile":
            self._typed = arguments[0] in self.types
            name = os.fsdecode(arguments[1] or "")
            # Installed code that is imported for the first time on this machine is compiled.
            return self._typed or name == "<template>" or name.startswith(OWN_CODE)
        if event == "exec":
            name = arguments[0].co_filename
            typed, self._typed = self._typed and name == "<string>", False
            return typed or name == "<template>" or name.startswith(("<frozen", *OWN_CODE))
        return False

    def _opened(self, path: Any, mode: Any, flags: int) -> None:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes and not isinstance(path, int):
            self.written.add(_path(path))


def _path(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))


def run(arguments: list[str]) -> int:
    """The exit status of a command."""
    sys.argv = ["dollymix", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    raise AssertionError("the command line leaves by its exit status")


def main() -> None:
    """Run them all."""
    plan = json.loads(Path(sys.argv[1]).read_bytes())
    for name in formats.names():
        formats.load(name)
    results = Path(sys.argv[2])
    watch = Watch()
    sys.addaudithook(watch)
    found: list[dict[str, Any]] = []
    for number, arguments in enumerate(plan):
        began = time.perf_counter()
        watch.on, watch.types = number > 0, own_types()
        status = run(arguments)
        watch.on = False
        seconds = time.perf_counter() - began
        found.append({"arguments": arguments, "status": status, "seconds": seconds})
        found[-1] |= {"events": watch.events, "written": sorted(watch.written)}
        watch.events, watch.written = [], set()
    results.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
