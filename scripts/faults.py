"""Breaks builds in every way that a machine knows, and counts what that leaves behind.

    python scripts/faults.py [kill|syscalls|powercut|powercut-disk|disk-full|limits|all] ...
        [--short] [-n N] [--place DIR]

Runs the harnesses of `../shared/faults` against Dollymix, and shots of its own where there is no
harness. Linux; needs strace, and root for what mounts. After each shot the old set or the new one
must stand whole, the run must not have claimed more than that, and the next run must end in the
bytes of an uninterrupted one and leave nothing beside them. Exit status 1 where a shot was bad.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shots import outcome
from shots.outcome import Outcome, drive, quoted
from shots.place import Place, remove

ROOT = Path(__file__).resolve().parents[1]
KINDS = (
    "openat,write,fsync,close,rename,renameat2,unlink,unlinkat,mkdir,rmdir,ftruncate,pwrite64,"
    "pread64,read"
)


def main() -> int:
    """Run the series that are asked for."""
    arguments = _arguments()
    # This checkout is what is tested, whatever is installed.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "scripts")])
    if not outcome.SHARED.is_dir():
        print("needs ../shared/faults, the folder of the fault harnesses, which is not there")
        return 1
    chosen = list(SERIES) if arguments.what == "all" else [arguments.what]
    root = Path(tempfile.mkdtemp(prefix="faults-", dir=arguments.place))
    found: list[Outcome] = []
    try:
        for name in chosen:
            for done in SERIES[name](root, arguments.short, arguments.n):
                print(f"{done.name}: {done.shots} shots, {done.bad} bad", file=sys.stderr)
                found.append(done)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    outcome.show(found)
    return 1 if any(done.bad for done in found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=[*SERIES, "all"])
    parser.add_argument("--short", action="store_true", help="few shots of each, about a minute")
    parser.add_argument("-n", type=int, help="so many random shots of each series")
    parser.add_argument("--place", default="/dev/shm", help="where to work")
    return parser.parse_args()


def syscalls(root: Path, short: bool, _n: int | None) -> Iterator[Outcome]:
    """One fault at every k-th call of each kind, over an old set."""
    plans = [
        ("everything", 2, "kill,ENOSPC,EIO"),
        ("everything", 5, "TERM,INT"),
        ("direct", 5, "kill,ENOSPC,EIO"),
    ]
    if short:
        plans = [("everything", 37, "kill,ENOSPC,EIO")]
    for pipeline, stride, faults in plans:
        for fault in faults.split(","):
            yield _sweep(root, f"{fault} at calls, {pipeline}", pipeline, fault, stride)


def _sweep(
    root: Path, name: str, pipeline: str, fault: str, stride: int, prepare: str = ""
) -> Outcome:
    place = Place(root, pipeline)
    out = str(root / "work" / "o")
    Path(out).parent.mkdir(exist_ok=True)
    remove(out)
    hidden = os.path.join(os.path.dirname(out), ".o.building")
    prepare = prepare or f"rm -rf {hidden}; cp -a {place.reference(1)} {{out}}"
    place.reference(2)
    arguments = ["--out", out, "--prepare", prepare, "--run", quoted(place, 2)]
    arguments += ["--old", "1", "--new", "2", "--kinds", KINDS, "--faults", fault]
    arguments += ["--max", "100000", "--stride", str(stride)]
    return drive(name, "sysfault.py", arguments, place, out=out, prepare=prepare)


SERIES: dict[str, Callable[[Path, bool, int | None], Iterator[Outcome]]] = {
    "syscalls": syscalls,
}

if __name__ == "__main__":
    sys.exit(main())
