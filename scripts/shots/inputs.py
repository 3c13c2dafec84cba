"""Inputs that change, shrink, vanish or cannot be read while a build reads them."""

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from shots import limits
from shots.judge import fault_of, tree_of
from shots.nursery import Nursery
from shots.outcome import Outcome, Series
from shots.place import Place


def series(place: Place, short: bool, n: int | None) -> Iterator[Outcome]:
    """Every series of this file."""
    yield _changing(place._replace(workers=2, records=4000), n or (5 if short else 60))
    yield _unreadable(place, 9 if short else 1)


def _append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b'{"instruction": "late", "output": "late"}\n')


def _shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _rewrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace("가을".encode(), "겨울".encode()))


def _replace(path: Path) -> None:
    other = path.with_name(f"{path.name}.other")
    other.write_bytes(path.read_bytes().replace("나무".encode(), "너무".encode()))
    other.rename(path)


CHANGES: tuple[Callable[[Path], None], ...] = (_append, _shrink, _rewrite, _replace, os.unlink)
FILES = ("rows.json", "chats.jsonl.gz", "own-2.jsonl")


def _changing(place: Place, count: int) -> Outcome:
    """A build of inputs that somebody changes is refused, or is of one state of them, or says
    which of them it leaves out."""
    found = Series("inputs that change, shrink, are replaced or removed, 2 w.")
    chance = random.Random(3)
    pristine = place.root / "inputs"
    out = limits.fresh(place, "changing")
    began = time.monotonic()
    limits.run(place.command(2, out))
    lasts = time.monotonic() - began
    refused = 0
    for number in range(count):
        shop = Place(
            place.root / "shop", place.pipeline, 2, place.records, place.unit, place.segment
        )
        shutil.rmtree(shop.root, ignore_errors=True)
        # With their times: what stands in the manifest must not differ.
        shutil.copytree(pristine, shop.root / "inputs")
        out = limits.fresh(place, "changing")
        change, file = CHANGES[number % 5], FILES[number // 5 % 3]
        process = limits.start(shop.command(2, out))
        time.sleep(chance.uniform(0.2, 0.9) * lasts)
        change(shop.root / "inputs" / file)
        done = limits.ended(process)
        refused += done.returncode != 0
        faults = [limits.said_badly(done)]
        if f"{file} was left out [" in done.stderr:
            # The recipe skips bad files, and the run says that this was one.
            faults.append(_without(Path(out), file))
        elif done.returncode == 0:
            faults.append(_of_one_state(place, shop, out))
        elif limits.standing(place, out) != "old":
            faults.append(f"exit {done.returncode}, but {limits.standing(place, out)}")
        label = f"{number} {getattr(change, '__name__', 'unlink')} {file}"
        found.shot(label, *faults, *limits.again(place, out))
    found.note = f"{refused} refused"
    return found.outcome()


def _without(out: Path, file: str) -> str:
    """Nothing, where a build is whole and has nothing of a file."""
    entries = json.loads((out / "manifest.json").read_bytes())["inputs"]
    (refused,) = [entry["refused"] for entry in entries if entry["file"] == file]
    tables = [pq.read_table(path, columns=["file"]) for path in out.glob("lineage/*/*.parquet")]
    rows = sum(table.column("file").to_pylist().count(file) for table in tables)
    if rows or not refused:
        return f"says that {file} was left out, and has {rows} rows of it"
    return fault_of(out)


def _of_one_state(place: Place, shop: Place, out: str) -> str:
    """Nothing, where a build is that of the inputs before the change, or of those after it."""
    if limits.standing(place, out) == "new":
        return ""
    after = str(shop.root / "after")
    done = limits.run(shop.command(2, after))
    if done.returncode == 0 and tree_of(Path(after)) == tree_of(Path(out)):
        return ""
    return "is neither of the inputs before the change nor of those after it"


def _unreadable(place: Place, stride: int) -> Outcome:
    """A read of an input that fails, at every so-manieth call."""
    found = Series("EIO at reads of inputs")
    nursery = Nursery()
    inputs = [str(place.root / "inputs" / name) for name in (*FILES, "broken.json")]
    paths = [word for path in inputs for word in ("-P", path)]
    log = place.root / "unreadable.strace"
    for call in ("openat", "read", "pread64"):
        number = 1
        while True:
            out = limits.fresh(place, "unreadable")
            options = ["-f", "-qq", "--seccomp-bpf", "-o", str(log), "-e", f"trace={call}"]
            options += ["-e", f"inject={call}:error=EIO:when={number}", *paths]
            raw = nursery.run(place.command(2, out)[2:], options)
            if "INJECTED" not in log.read_text(errors="replace"):
                break
            done = subprocess.CompletedProcess(
                [], raw.returncode, raw.stdout.decode(), raw.stderr.decode()
            )
            faults = [limits.said_badly(done)]
            # The recipe skips bad files: a build without the file says so.
            if done.returncode == 0 and "io.unreadable" not in done.stderr:
                faults.append(f"says nothing of it, and {limits.standing(place, out)}")
            if done.returncode and limits.standing(place, out) != "old":
                faults.append(limits.standing(place, out))
            found.shot(f"{call} {number}", *faults, *limits.again(place, out))
            number += stride
    nursery.close()
    return found.outcome()
