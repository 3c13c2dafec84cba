"""What reliability costs: the merge with parts of it left out, side by side.

Usage: python costs.py INPUT_DIR [--rounds 3] [--place DIR]

INPUT_DIR is what generate.py wrote. Each run is a process of its own with one worker; rounds are
interleaved, and the least CPU time of each is shown. A set that was built with a part left out is
no use, and is removed.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Usage, run
from recipe import recipe_text


class _NoDigest:
    """Stands in for SHA-256: takes bytes, and knows nothing of them."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def update(self, data: Any) -> None: ...

    def hexdigest(self) -> str:
        return "0" * 64

    def copy(self) -> "_NoDigest":
        return self


def _without_fsync() -> None:
    os.fsync = os.fdatasync = lambda _file: None


def _without_partition() -> None:
    from dollymix import partition

    def take(self: partition.FileCounts, _base: int, result: Any) -> None:
        self.end = result.unit[3]
        self.records += result.records

    partition.FileCounts.take = take  # type: ignore[method-assign]
    partition.check = lambda *_: None


def _without_digests() -> None:
    hashlib.sha256 = _NoDigest  # type: ignore[assignment]
    hashlib.file_digest = lambda *_: _NoDigest()  # type: ignore[assignment]


def _without_repeated_keys() -> None:
    from dollymix import duplicate_keys

    duplicate_keys.has_duplicates = lambda *_: False


PARTS: dict[str, Callable[[], None]] = {
    "fsync": _without_fsync,
    "partition check": _without_partition,
    "SHA-256": _without_digests,
    "repeated keys": _without_repeated_keys,
}
VARIANTS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "fsync": ("fsync",),
    "the partition check": ("partition check",),
    "SHA-256": ("SHA-256",),
    "fsync and the partition check": ("fsync", "partition check"),
    "all three": ("fsync", "partition check", "SHA-256"),
    "the search for repeated keys": ("repeated keys",),
}


def main() -> int:
    """Run all variants, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", default=None, help="where the sets are written")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        _merge(arguments.input, arguments.output, VARIANTS[arguments.variant])
        return 0
    found: dict[str, list[Usage]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="costs-", dir=arguments.place) as place:
        for _ in range(arguments.rounds):
            for name, runs in found.items():
                runs.append(_measured(arguments.input, name, Path(place)))
    _show(found)
    return 0


def _merge(folder: Path, output: Path, left_out: tuple[str, ...]) -> None:
    from dollymix import build

    for part in left_out:
        PARTS[part]()
    recipe = folder / "costs.yaml"
    recipe.write_text(recipe_text(), encoding="utf-8")
    build.merge(recipe, output, workers=1)


def _measured(folder: Path, name: str, place: Path) -> Usage:
    output = place / "set"
    command = [sys.executable, __file__, str(folder), "--variant", name, "--output", str(output)]
    log = place / "log"
    # What an earlier run wrote is not to be written during this one.
    os.sync()
    usage = run(command, log)
    if usage.exit_status:
        sys.exit(f"{name}: {log.read_text(encoding='utf-8')}")
    shutil.rmtree(output)
    print(f"{name}: {usage.cpu_seconds:.1f} s of CPU, {usage.wall_seconds:.1f} s", file=sys.stderr)
    return usage


def _show(found: dict[str, list[Usage]]) -> None:
    whole = min(usage.cpu_seconds for usage in found["nothing"])
    print("| left out | CPU s | share of the whole | wall s | peak PSS MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, runs in found.items():
        cpu = min(usage.cpu_seconds for usage in runs)
        wall = min(usage.wall_seconds for usage in runs)
        peak = max(usage.peak_pss_mb for usage in runs)
        print(f"| {name} | {cpu:.1f} | {1 - cpu / whole:.1%} | {wall:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
