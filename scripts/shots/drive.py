"""Drives one harness of `../shared/faults` against Dollymix. A process of its own for each:

    python -m shots.drive JOB.json

The harnesses know a toy writer. They are run as they are; what they start is translated: the toy's
calls into merges of a generation's recipe, the toy's paths into those that a build touches, sizes
of file systems into those that a build needs. `checkset`, which they import, is our judge.

What a harness does not look at is checked here on every run: how the process ended, how soon, and
that it said no traceback. The harness's own words go to standard output; what was found here is
written into the file that the job names, as JSON.
"""

import json
import os
import re
import resource
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

from shots import judge, place
from shots.nursery import Nursery

TOO_LONG = 300
STOP_WITHIN = 5
_RUN = subprocess.run
_POPEN = subprocess.Popen
_LISTDIR = os.listdir
_SETRLIMIT = resource.setrlimit
# The words of our result that the harnesses wait for.
ACKNOWLEDGED = "written"


class Job(types.SimpleNamespace):
    """What to drive, and how.

    harness, arguments: the script and its arguments, with {out}, {run} and {prepare} replaced.
    place: the fields of a Place. target: what is killed: `process`, `group` or `worker`.
    below: where under the harness's OUT the build goes. rerun_every: which states of a power cut
    are also built on. room, scale: how far sizes of file systems and of files go, beside the toy's.
    """


class Driver:
    """The translations, and what they saw."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.place = place.Place(**{**job.place, "root": Path(job.place["root"])})
        self.findings: list[str] = []
        self.runs = 0
        self.longest_stop = 0.0
        self.early = 0
        self.states = 0
        self.reruns = 0
        self._paths: list[str] = []
        self._nursery = Nursery()

    def install(self) -> None:
        """Put the translations where the harness finds them."""
        sys.modules["checkset"] = self._checkset()
        if self.job.harness == "sysfault.py":
            _RUN(self.job.prepare.format(out=self.job.out), shell=True, check=True)
            self._paths = touched(self.place, self.job.out)
        subprocess.run = self.run  # type: ignore[assignment]
        subprocess.Popen = self.popen  # type: ignore[assignment,misc]
        if self.job.harness in ("killtest.py", "enospc.py"):
            os.listdir = self.listdir
        resource.setrlimit = self.setrlimit

    def close(self) -> None:
        """Nothing is merged any more."""
        self._nursery.close()

    def _checkset(self) -> types.ModuleType:
        import dollymix

        known = {} if self.job.harness == "powercut_loop.py" else self.place.references(1, 2)
        answer = judge.Judge(
            known,
            lambda folder: dollymix.verify(folder).faults,
            below=self.job.below,
            extra=self._go_on if self.job.rerun_every else None,
        )
        module = types.ModuleType("checkset")
        module.state = answer.state  # type: ignore[attr-defined]
        module.orphans = answer.orphans  # type: ignore[attr-defined]
        return module

    def _go_on(self, folder: Path) -> str:
        """What is wrong after a merge on top of a state, for every so-manieth state."""
        self.states += 1
        if self.states % self.job.rerun_every:
            return ""
        self.reruns += 1
        copy = Path(tempfile.mkdtemp(dir=self.place.root)) / "s"
        shutil.copytree(folder.parent, copy, symlinks=True)
        try:
            done = self._merge(self.place.command(2, str(copy / folder.name)))
            if done.returncode:
                return f"rerun: exit {done.returncode}: {done.stderr.decode()[-300:]}"
            if judge.tree_of(copy / folder.name) != judge.tree_of(self.place.reference(2)):
                return "rerun: other bytes"
            beside = sorted(set(_LISTDIR(copy)) - {folder.name})
            return f"rerun: leaves {beside}" if beside else ""
        finally:
            shutil.rmtree(copy.parent)

    def listdir(self, path: Any = ".") -> list[str]:
        """A build's files, at any depth, where a harness looks into one; else what is there."""
        if isinstance(path, str) and os.path.exists(os.path.join(path, "manifest.json")):
            return [name for name in judge.files_of(Path(path)) if name != judge.LOG]
        return _LISTDIR(path)

    def setrlimit(self, kind: int, limits: tuple[int, int]) -> None:
        """In the place of `resource.setrlimit`: sizes of files as ours are, not the toy's."""
        factor = self.job.scale if kind == resource.RLIMIT_FSIZE else 1
        _SETRLIMIT(kind, (int(limits[0] * factor), int(limits[1] * factor)))

    def run(self, command: Any, **settings: Any) -> Any:
        """In the place of `subprocess.run`."""
        if isinstance(command, str):
            words = shlex.split(command)
            return self._merge(words) if _is_merge(words) else _RUN(command, **settings)
        command = list(command)
        if command[0] == "strace":
            return self._traced(command, settings)
        if command[0] == "mount" and "-o" in command:
            return _RUN(self._mount(command), **settings)
        if _is_toy(command):
            return self._toy(command, settings)
        return _RUN(command, **settings)

    def popen(self, command: Any, **settings: Any) -> Any:
        """In the place of `subprocess.Popen`: a merge that is to be stopped."""
        if isinstance(command, str) or not _is_toy(list(command)):
            return _POPEN(command, **settings)
        out, generation = _asked(command)
        return Stopped(self, self.place.command(generation, out))

    def _toy(self, command: list[str], settings: dict[str, Any]) -> Any:
        out, generation = _asked(command)
        if generation == 1:
            self.place.restore(out)
            return subprocess.CompletedProcess(command, 0, _like(settings, "done\n"), "")
        settings = {**settings, "capture_output": True, "timeout": TOO_LONG}
        done = _RUN(self.place.command(generation, out), **settings)
        done.stdout = _acknowledge(done.stdout)
        self.look(done.returncode, done.stderr, f"generation {generation}")
        return done

    def look(self, status: int, said: Any, what: str, allowed: tuple[int, ...] = (0, 1)) -> None:
        """Note where a run ended or spoke in a way that it must not."""
        self.runs += 1
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        lines = [line for line in text.splitlines() if not line.startswith("warning:")]
        if status and judge.is_early(text):
            self.early += 1
        elif "Traceback" in text or "Exception ignored" in text:
            self.findings.append(f"{what}: traceback: {text[-600:]}")
        elif status not in allowed:
            self.findings.append(f"{what}: exit {status}: {text[-300:]}")
        elif status == 1 and len(lines) != 1:
            self.findings.append(f"{what}: {len(lines)} lines: {text[-300:]}")
        elif "None" in text:
            self.findings.append(f"{what}: says {text[-300:]}")

    # strace

    def _merge(self, command: list[str], strace: list[str] | None = None) -> Any:
        """A merge, its interpreter already warm."""
        return self._nursery.run(command[2:], strace)

    def _traced(self, command: list[str], settings: dict[str, Any]) -> Any:
        if not any(word.startswith("inject=") for word in command):
            return _RUN([command[0], "--seccomp-bpf", *command[1:]], **settings)
        log = command[command.index("-o") + 1]
        fault = next(word for word in command if word.startswith("inject="))
        name = re.search(r"(?:error|signal)=(\w+)", fault)
        assert name is not None
        options = _without_paths(command[1 : command.index("sh")])
        if name[1] in ("TERM", "INT"):
            options[options.index(fault)] = fault.replace("error=", "signal=")
        # Signals are not injected together with --seccomp-bpf.
        options += ["--seccomp-bpf"] if "error=" in options[-1] else []
        options += [word for path in self._paths for word in ("-P", path)]
        began = time.monotonic()
        done = self._merge(shlex.split(command[-1])[1:], options)
        if done.returncode == 99:
            self.findings.append(f"{fault}: did not end in {TOO_LONG} s")
        self._look_at_fault(done, log, fault, name[1], time.monotonic() - began)
        done.stdout = _acknowledge(done.stdout)
        return done

    def _look_at_fault(self, done: Any, log: str, fault: str, name: str, seconds: float) -> None:
        if name == "KILL":
            return
        if name in ("TERM", "INT"):
            with open(log, encoding="utf-8", errors="replace") as file:
                fired = f"--- SIG{name}" in file.read()
            if fired:
                self.longest_stop = max(self.longest_stop, seconds)
                self.look(done.returncode, done.stderr, fault, (0, 143 if name == "TERM" else 130))
                with open(log, "a") as file:
                    file.write("INJECTED\n")
            return
        self.look(done.returncode, done.stderr, f"{fault} ({seconds:.1f} s)")

    # File systems

    def _mount(self, command: list[str]) -> list[str]:
        """A remount to a size or a number of inodes that goes through what a build needs."""
        at = command.index("-o") + 1
        where = command[-1]
        options = command[at]
        size = re.fullmatch(r"remount,size=(\d+)", options)
        if size:
            usage = os.statvfs(where)
            used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
            # The harness goes from `counted + 8192` in equal steps up to `2 * counted + 73728`.
            counted = sum(
                os.stat(os.path.join(where, "o", name)).st_blocks * 512
                for name in self.listdir(os.path.join(where, "o"))
            )
            share = (int(size[1]) - counted - 8192) / (counted + 65536)
            command[at] = f"remount,size={used + 4096 + int(share * self.job.room)}"
        inodes = re.fullmatch(r"remount,nr_inodes=(\d+)", options)
        if inodes:
            usage = os.statvfs(where)
            step = int(inodes[1]) - len(self.listdir(os.path.join(where, "o"))) - 2
            command[at] = f"remount,nr_inodes={usage.f_files - usage.f_ffree + 1 + step * 6}"
        return command


class Stopped:
    """A merge that a harness stops: the whole group, one worker, or the process alone."""

    def __init__(self, driver: Driver, command: list[str]) -> None:
        self._driver = driver
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by _look)
        self._process = _POPEN(
            command, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self._signal: int | None = None
        self._sent = 0.0
        self.stdout = self

    def readline(self) -> str:
        """The line that says the set is there."""
        assert self._process.stdout is not None
        return "done\n" if ACKNOWLEDGED.encode() in self._process.stdout.readline() else ""

    def send_signal(self, number: int) -> None:
        """Send a signal to what the job says."""
        self._sent = time.monotonic()
        target = self._driver.job.target
        process = self._process.pid
        if target == "worker":
            children = Path(f"/proc/{process}/task/{process}/children")
            try:
                workers = [int(word) for word in children.read_text().split()]
            except OSError:
                workers = []
            # Before and after the conversion there is no worker.
            if not workers:
                return
            process = workers[-1]
        self._signal = number
        try:
            (os.killpg if target == "group" else os.kill)(process, number)
        except ProcessLookupError:
            self._signal = None

    def wait(self) -> int:
        """The exit status."""
        status = self._process.wait(TOO_LONG)
        self._look(status)
        return status

    def communicate(self) -> tuple[bytes, None]:
        """What it said, once it has ended."""
        said, _ = self._process.communicate(timeout=TOO_LONG)
        self._look(self._process.returncode)
        return _acknowledge(said), None

    @property
    def returncode(self) -> int | None:
        """The exit status, once it has ended."""
        return self._process.returncode

    def _look(self, status: int) -> None:
        driver = self._driver
        if self._signal is not None:
            seconds = time.monotonic() - self._sent
            driver.longest_stop = max(driver.longest_stop, seconds)
            if seconds > STOP_WITHIN:
                driver.findings.append(f"signal {self._signal}: ended after {seconds:.1f} s")
        worker = driver.job.target == "worker"
        statuses = {None: 0, 9: 1 if worker else -9, 15: 143, 2: 130}
        self._errors.seek(0)
        said = self._errors.read()
        if status in (-15, -2) and -status == self._signal:
            # The interpreter had not come to our code yet.
            driver.early += 1
            status, said = 0, b""
        driver.look(status, said, f"signal {self._signal}", (0, statuses[self._signal]))
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def touched(home: place.Place, out: str) -> list[str]:
    """Every path at or beside an output that a build opens, makes, moves or removes.

    What stands there is built on in a copy, and stays as it is.
    """
    parent = os.path.dirname(out)
    copy = tempfile.mkdtemp(prefix="touched-", dir=home.root)
    kept = os.path.join(copy, "kept")
    shutil.copytree(parent, kept, symlinks=True)
    log = os.path.join(copy, "log")
    command = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", log, "-e", "trace=%file,%desc"]
    _RUN([*command, *home.command(2, out)], check=True, stdout=subprocess.DEVNULL)
    found = {parent}
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            found.update(_paths_in(line, parent))
    shutil.rmtree(parent)
    shutil.copytree(kept, parent, symlinks=True)
    shutil.rmtree(copy)
    return sorted(found - {f"{out}.strace"})


def _is_merge(words: list[str]) -> bool:
    return len(words) > 1 and words[1] == str(place.LAUNCH)


def _is_toy(command: list[str]) -> bool:
    return any(str(word).endswith("toywriter.py") for word in command)


def _asked(command: list[str]) -> tuple[str, int]:
    """Where the toy is to write, and which generation."""
    at = next(n for n, word in enumerate(command) if str(word).endswith("toywriter.py"))
    return os.path.abspath(command[at + 2]), int(command[at + 3])


def _acknowledge(said: Any) -> Any:
    """What a run said, in the harness's words."""
    if isinstance(said, str):
        return f"{said}\ndone\n" if ACKNOWLEDGED in said else said
    return said + b"\ndone\n" if ACKNOWLEDGED.encode() in said else said


def _like(settings: dict[str, Any], text: str) -> Any:
    return text if settings.get("text") else text.encode()


def _without_paths(command: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(command)
    for word in words:
        if word == "-P":
            next(words)
        else:
            kept.append(word)
    return kept


def _paths_in(line: str, parent: str) -> set[str]:
    """The paths below a folder in a line of `strace -y`."""
    found = set(re.findall(r"<(/[^>]*)>", line)) | set(re.findall(r'"(/[^"]*)"', line))
    for folder, name in re.findall(r'<(/[^>]*)>, "([^"/][^"]*)"', line):
        found.add(os.path.join(folder, name))
    gone = " (deleted)"
    clean = {path.removesuffix(gone) for path in found}
    return {path for path in clean if path == parent or path.startswith(f"{parent}/")}


def main() -> int:
    """Drive the harness of a job; the harness's exit status."""
    job = Job(**json.loads(Path(sys.argv[1]).read_bytes()))
    driver = Driver(job)
    temporary = driver.place.root / "tmp"
    temporary.mkdir(exist_ok=True)
    # The builds' own; the harness has another.
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = str(driver.place.root)
    os.chdir(driver.place.root)
    driver.install()
    sys.argv = [job.harness, *job.arguments]
    status = 0
    began = time.monotonic()
    try:
        runpy.run_path(str(Path(job.folder) / job.harness), run_name="__main__")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
        if isinstance(ended.code, str):
            driver.findings.append(ended.code)
    told = {
        "findings": driver.findings,
        "runs": driver.runs,
        "reruns": driver.reruns,
        "longest_stop": driver.longest_stop,
        "early": driver.early,
        "seconds": time.monotonic() - began,
    }
    driver.close()
    Path(job.result).write_text(json.dumps(told, ensure_ascii=False))
    return status


if __name__ == "__main__":
    sys.exit(main())
