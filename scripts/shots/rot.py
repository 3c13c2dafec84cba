"""Single bits that flip: in a finished build, and in what a killed build left."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from shots import limits
from shots.judge import LOG, files_of
from shots.outcome import Outcome, Series
from shots.place import Place


def series(place: Place, count: int) -> Iterator[Outcome]:
    """Every series of this file."""
    yield _finished(place, count)
    yield _working(place, max(count // 5, 4))


def _flip(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{path.name} at {at}"


def _finished(place: Place, count: int) -> Outcome:
    """`verify` names the file."""
    import dollymix

    found = Series("a bit of a finished build flips; verify names its file")
    chance = random.Random(11)
    build = place.reference(2)
    names = [name for name in files_of(build) if name != LOG]
    for number in range(count):
        copy = place.root / "flipped"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(build, copy)
        name = names[number % len(names)]
        label = _flip(copy / name, chance)
        try:
            faults = dollymix.verify(copy).faults
        except dollymix.DollymixError as error:
            faults = [str(error)]
        found.shot(label, "" if any(name in fault for fault in faults) else f"says {faults}")
    return found.outcome()


def _working(place: Place, count: int) -> Outcome:
    """The next run does not build on a changed working file."""
    found = Series("a bit of what a killed build left flips; the next run is whole")
    chance = random.Random(13)
    kept = place.root / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    place.restore(str(kept / "o"))
    limits.killed_at(place, str(kept / "o"), "renameat2", 1)
    late = place.root / "late"
    shutil.rmtree(late, ignore_errors=True)
    late.mkdir()
    place.restore(str(late / "o"))
    limits.killed_at(place, str(late / "o"), "fsync", 30)
    for number in range(count):
        for half in (kept, late):
            out = limits.fresh(place, "rotten")
            shutil.rmtree(Path(out).parent)
            shutil.copytree(half, Path(out).parent)
            building = Path(out).with_name(".o.building")
            names = [name for name in files_of(building) if (building / name).stat().st_size]
            label = _flip(building / chance.choice(names), chance)
            found.shot(f"{number} {half.name} {label}", *limits.again(place, out))
    return found.outcome()
