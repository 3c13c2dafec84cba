"""Merges started from a process that has loaded everything already, each in a child of its own.

Most of a small merge is the start of the interpreter; a sweep has thousands of them. The nursery
itself only loads and forks: it never merges, so a child begins like a fresh process.

    python -m shots.nursery       requests on standard input, answers on standard output, as JSON
"""

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

# What a merge imports on its way; pyarrow takes pandas, where it is there.
LATE = (
    "backports.zstd", "dollymix.decide", "importlib.metadata", "isal.igzip_lib", "jinja2", "numpy",
    "pandas", "pyarrow.compute", "pyarrow.json", "pyarrow.pandas_compat", "pyarrow.parquet",
    "ruamel.yaml", "shots.launch",
)  # fmt: skip
TOO_LONG = 300


class Nursery:
    """The side that asks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shots.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )

    def run(
        self, arguments: list[str], strace: list[str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """`launch.py` with these arguments, under strace with these options where there are any."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"arguments": arguments, "strace": strace, "cwd": os.getcwd()}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        out, err = told["stdout"].encode(), told["stderr"].encode()
        return subprocess.CompletedProcess(arguments, told["status"], out, err)

    def close(self) -> None:
        """Send the nursery home."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """The side that forks."""
    _load()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _load() -> None:
    import dollymix

    for module in pkgutil.walk_packages(dollymix.__path__, "dollymix."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    files = [os.memfd_create(name) for name in ("stdout", "stderr")]
    child = os.fork()
    if not child:
        _live(asked, files)
    tracer = _trace(child, asked["strace"]) if asked["strace"] else None
    status = _wait(child)
    if tracer is not None:
        tracer.wait(TOO_LONG)
    said = []
    for file in files:
        said.append(os.pread(file, 1 << 20, 0).decode(errors="replace"))
        os.close(file)
    return {"status": status, "stdout": said[0], "stderr": said[1]}


def _live(asked: dict[str, Any], files: list[int]) -> None:
    """The life of a child."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        for file in files:
            os.close(file)
        os.setsid()
        os.chdir(asked["cwd"])
        if asked["strace"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        from shots import launch

        sys.argv = ["launch.py", *asked["arguments"]]
        launch.main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _trace(child: int, options: list[str]) -> subprocess.Popen[bytes]:
    """Attach strace to the child, which has stopped itself, and let it go on."""
    os.waitpid(child, os.WUNTRACED)
    tracer = subprocess.Popen(
        ["strace", "-p", str(child), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    status = Path(f"/proc/{child}/status")
    while "\nTracerPid:\t0\n" in status.read_text() and tracer.poll() is None:
        time.sleep(0.001)
    os.kill(child, signal.SIGCONT)
    return tracer


def _wait(child: int) -> int:
    end = time.monotonic() + TOO_LONG
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 99


if __name__ == "__main__":
    main()
