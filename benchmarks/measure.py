"""Runs one command and says what it cost. Linux only: it reads /proc.

CPU seconds are user and system time from `os.wait4`: those of the command itself and of
every descendant that it (or a descendant in turn) waited for. Memory is the sum of the
proportional set sizes (PSS) of all processes of the tree, sampled; pages that several
processes share count once, and so do pages of a mapped file.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_INTERVAL_SECONDS = 0.05
# A sample walks the page tables of its subject, which takes long when it is large.
_MOST_TIME_SAMPLING = 0.05


@dataclass(frozen=True)
class Usage:
    """What one run cost. `max_rss_mb` is of its largest process, from the kernel."""

    exit_status: int
    user_seconds: float
    system_seconds: float
    wall_seconds: float
    peak_pss_mb: float
    max_rss_mb: float

    @property
    def cpu_seconds(self) -> float:
        """User and system time."""
        return self.user_seconds + self.system_seconds


def run(command: Sequence[str], log: Path) -> Usage:
    """The cost of `command`, whose standard output and error go to `log`."""
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        sampler = _Sampler(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.finish()
    return Usage(
        process.returncode,
        usage.ru_utime,
        usage.ru_stime,
        wall,
        sampler.peak_kib / 1024,
        usage.ru_maxrss / 1024,
    )


class _Sampler(threading.Thread):
    """Keeps the highest sum of PSS seen in the tree below one process."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self.peak_kib = 0

    def run(self) -> None:
        """Samples until told to stop."""
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.perf_counter()
            self.peak_kib = max(self.peak_kib, sum(map(_pss_kib, _tree(self._root))))
            took = time.perf_counter() - began
            pause = max(_INTERVAL_SECONDS, took / _MOST_TIME_SAMPLING)

    def finish(self) -> None:
        """Stops sampling and waits for the last sample."""
        self._ended.set()
        self.join()


def _tree(root: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        for child in _read(children).split():
            yield from _tree(int(child))


def _pss_kib(process: int) -> int:
    """The PSS of one process in KiB; 0 when it is gone."""
    for line in _read(Path(f"/proc/{process}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    """The text of a file of /proc; empty when its process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
