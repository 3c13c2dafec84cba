"""What a run was made on, in lines of Markdown."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

_PACKAGES = ("datasets", "polars", "duckdb", "orjson", "pyarrow", "msgspec", "isal")


def describe(dollymix_python: str) -> str:
    """Processor, cores, memory, load, and the versions of what is compared."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    lines = [
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib():.1f} GiB",
        f"{platform.system()} {platform.release()}, load before the first run: {load}",
        f"Python {platform.python_version()}, {', '.join(versions)}",
        dollymix_version(dollymix_python) or "Dollymix: not installed",
    ]
    return "\n".join(f"- {line}" for line in lines)


def dollymix_version(python: str) -> str | None:
    """Name and version of the Dollymix that `python` can run; none when it cannot."""
    question = (
        "import sys, platform, importlib.metadata as m, importlib.util as u\n"
        "u.find_spec('dollymix') and u.find_spec('dollymix.__main__') or sys.exit(1)\n"
        "try: version = m.version('dollymix')\n"
        "except m.PackageNotFoundError: version = 'of a source tree'\n"
        "print('Dollymix', version, 'on Python', platform.python_version())\n"
    )
    answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(none)"


def _processor() -> str:
    """The model name of the first core."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
