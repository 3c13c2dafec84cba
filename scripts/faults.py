"""Breaks builds in every way that a machine knows, and counts what that leaves behind.

    python scripts/faults.py [kill|syscalls|powercut|powercut-disk|disk-full|limits|all]
        [--short] [-n N] [--place DIR]

Runs the harnesses of `../shared/faults` against Dollymix, and shots of its own where there is no
harness. Linux; needs strace, and root for what mounts. After each shot the old set or the new one
must stand whole, the run must not have claimed more than that, and the next run must end in the
bytes of an uninterrupted one and leave nothing beside them. Exit status 1 where a shot was bad.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shots import inputs, limits, outcome, rot, streams
from shots.judge import files_of
from shots.outcome import Outcome, drive, quoted
from shots.place import Place, remove, working_place

ROOT = Path(__file__).resolve().parents[1]
KINDS = (
    "openat,write,fsync,close,rename,renameat2,unlink,unlinkat,mkdir,rmdir,ftruncate,pwrite64,"
    "pread64,read"
)
SHORT_KINDS = "openat,write,fsync,close,renameat2,unlinkat"


def main() -> int:
    """Run the series that are asked for."""
    arguments = _arguments()
    # This checkout is what is tested, whatever is installed.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "scripts")])
    sys.path.insert(0, str(ROOT / "src"))
    if not outcome.SHARED.is_dir():
        print("needs ../shared/faults, the folder of the fault harnesses, which is not there")
        return 1
    if shutil.which("strace") is None:
        print("needs strace, which is not there: apt-get install strace")
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
    parser.add_argument("--short", action="store_true", help="few shots of each")
    parser.add_argument("-n", type=int, help="so many random shots of each series")
    parser.add_argument("--place", default="/dev/shm", help="where to work")
    return parser.parse_args()


def kill(root: Path, short: bool, n: int | None) -> Iterator[Outcome]:
    """Signals at random moments: to the process, to its whole group, to one of its workers."""
    if short:
        place = Place(root / "kill", "everything", workers=2, records=300, unit=0, segment=40_000)
        yield _stopped(place, "SIGKILL", "process", n or 10)
        return
    large = Place(root / "large", "decided", workers=2, records=66_667, unit=0, segment=8 << 20)
    yield _stopped(large, "SIGKILL", "process", n or 100)
    for pipeline in ("everything", "direct"):
        place = _medium(root, pipeline, 1)
        yield _stopped(place, "SIGKILL", "process", n or 100)
    place = _medium(root, "everything", 2)
    yield _stopped(place, "SIGKILL", "group", n or 40)
    yield _stopped(place, "SIGKILL", "worker", n or 40)
    for name in ("SIGTERM", "SIGINT"):
        yield _stopped(place, name, "process", n or 40)
        yield _stopped(place, name, "group", n or 20)


def _medium(root: Path, pipeline: str, workers: int) -> Place:
    return Place(root / "medium", pipeline, workers, records=6000, unit=200_000, segment=2 << 20)


def _stopped(place: Place, name: str, target: str, count: int) -> Outcome:
    what = {"process": "", "group": " to the group", "worker": " to one worker"}[target]
    title = f"{name}{what}, {place.pipeline}, {3 * place.records:,} records, {place.workers} w."
    return drive(title, "killtest.py", ["good", str(count), name], place, target=target)


def syscalls(root: Path, short: bool, _n: int | None) -> Iterator[Outcome]:
    """One fault at every k-th call of each kind, over an old set and over a half-done build."""
    plans = [
        ("everything", 1, "kill,ENOSPC,EIO"),
        ("everything", 2, "TERM,INT"),
        ("direct", 2, "kill,ENOSPC,EIO"),
    ]
    kinds = KINDS
    if short:
        plans, kinds = [("everything", 47, "kill,ENOSPC,EIO")], SHORT_KINDS
    for pipeline, stride, faults in plans:
        # Each kind of fault is a series of its own, and has a start: one where time counts.
        for fault in [faults] if short else faults.split(","):
            place = Place(root, pipeline)
            prepare = f"rm -rf {_beside(root)}; cp -a {place.reference(1)} {{out}}"
            name = f"{fault} at every {stride}. call, {pipeline}"
            yield _sweep(place, name, fault, stride, prepare, kinds)
    if short:
        return
    place = Place(root, "everything")
    for name, folder in _half_done(place).items():
        prepare = f"rm -rf {_beside(root)}; cp -a {folder}/. {root / 'work'}"
        for fault in ("kill", "EIO"):
            title = f"{fault} at every 11. call of a run that recovers from a kill {name}"
            yield _sweep(place, title, fault, 11, prepare, kinds)


def _beside(root: Path) -> Path:
    return working_place(root / "work" / "o")


def _sweep(place: Place, name: str, fault: str, stride: int, prepare: str, kinds: str) -> Outcome:
    out = str(place.root / "work" / "o")
    Path(out).parent.mkdir(exist_ok=True)
    remove(out)
    place.reference(2)
    arguments = ["--out", out, "--prepare", prepare, "--run", quoted(place, 2)]
    arguments += ["--old", "1", "--new", "2", "--kinds", kinds, "--faults", fault]
    arguments += ["--max", "100000", "--stride", str(stride)]
    return drive(name, "sysfault.py", arguments, place, out=out, prepare=prepare)


def _half_done(place: Place) -> dict[str, Path]:
    """What kills at four moments leave: the old set, and a working place beside it."""
    moments = {
        "while converting": ("write", 150),
        "while exporting": ("write", 400),
        "before the exchange": ("renameat2", 1),
        "while the old set is removed": ("unlinkat", 6),
    }
    found: dict[str, Path] = {}
    for name, (call, number) in moments.items():
        folder = place.root / f"half-{call}-{number}"
        folder.mkdir()
        place.restore(str(folder / "o"))
        limits.killed_at(place, str(folder / "o"), call, number)
        found[name] = folder
    return found


def powercut(root: Path, short: bool, _n: int | None) -> Iterator[Outcome]:
    """Every state that a disk may be in after a power cut, as POSIX allows it."""
    plans = [("everything", "1", ""), ("direct", "1", ""), ("decided", "none", "/p/q")]
    chance, every = "6", 100
    if short:
        plans, chance, every = [("direct", "1", "")], "0", 400
    for pipeline, old, below in plans:
        # One segment after a few units: a trace has every byte that is written, twice.
        place = Place(root, pipeline, records=24, segment=4096)
        out = str(root / "cut" / "o")
        prepare = "true" if old == "none" else f"cp -a {place.reference(1)} {{out}}"
        place.reference(2)
        arguments = ["--out", out, "--prepare", prepare, "--run", quoted(place, 2, below)]
        arguments += ["--old", old, "--new", "2", "--random", chance, "--ack", "written"]
        name = f"power cuts, {pipeline}, {'over an old set' if old == '1' else 'in new folders'}"
        yield drive(
            name, "crashstates.py", arguments, place, below=below.lstrip("/"), rerun_every=every
        )


def powercut_disk(root: Path, short: bool, n: int | None) -> Iterator[Outcome]:
    """Copies of a real file system's disk, taken while a build runs."""
    place = Place(root / "disk", "everything", records=400, unit=0, segment=60_000)
    for file_system, count in (("ext4", 100), ("xfs", 30)):
        arguments = ["good", str(n or (5 if short else count)), "--fs", file_system]
        yield drive(f"power cuts on {file_system}", "powercut_loop.py", arguments, place)


def disk_full(root: Path, short: bool, n: int | None) -> Iterator[Outcome]:
    """File systems of every size, numbers of inodes, sizes of files, none to write to."""
    place = Place(root / "full", "everything", records=200, unit=8192, segment=40_000)
    new = place.reference(2)
    largest = max(
        (place.reference(1) / name).stat().st_size for name in files_of(place.reference(1))
    )
    total = sum((new / name).stat().st_size for name in files_of(new))
    settings = {"room": 3 * total, "scale": 1.2 * total / largest}
    steps = str(n or (6 if short else 40))
    for kind, what in (
        ("tmpfs", "file systems of every size"),
        ("inodes", "numbers of inodes"),
        ("ro", "read-only remount"),
        ("fsize", "RLIMIT_FSIZE"),
        ("nofile", "RLIMIT_NOFILE 4 to 16"),
    ):
        yield drive(what, "enospc.py", [kind, "good", steps], place, **settings)


def more(root: Path, short: bool, n: int | None) -> Iterator[Outcome]:
    """What has no harness: limits, inputs that change, standard files, locks, links, bit rot."""
    place = Place(root / "more", "everything", records=400, unit=20_000, segment=60_000)
    yield from limits.series(place, short, n)
    yield from inputs.series(place, short, n)
    yield from streams.series(place)
    yield from rot.series(place, n or (20 if short else 200))


SERIES: dict[str, Callable[[Path, bool, int | None], Iterator[Outcome]]] = {
    "kill": kill,
    "syscalls": syscalls,
    "powercut": powercut,
    "powercut-disk": powercut_disk,
    "disk-full": disk_full,
    "limits": more,
}

if __name__ == "__main__":
    # A shell that runs this in the background hands down an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
