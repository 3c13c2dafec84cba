"""Phase 2: which examples stay. Sees keys, never text.

Keys are sorted outside memory: cut into buckets by their first bytes, each bucket sorted by
itself, each group of equal keys shown to the step in canonical order. What the step decides is cut
into stretches of ordinals again, so that export meets it in canonical order. Memory is a bucket or
a stretch at a time; on disk it is 24 bytes an example, 24 a decision, and a byte whether
it stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dollymix.blocks import Drop, Why
from dollymix.steps import GroupStep

KEY_BYTES = 16
_BUCKET = 1 << 20
_STRETCH = 1 << 20
_READ = 1 << 16

_KEY = np.dtype([("high", ">u8"), ("low", ">u8")])
_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("ordinal", "<u8")])
_DROP = np.dtype([("ordinal", "<u8"), ("because_of", "<u8"), ("why", "<u4"), ("", "<u4")])


class Comparison(NamedTuple):
    """One group step's work: the examples it sees, and where their keys are."""

    name: str
    step: GroupStep
    keys: Path
    ordinals: list[tuple[int, int]]


class Decisions:
    """What the group steps decided, met again in canonical order."""

    def __init__(self, folder: Path, total: int) -> None:
        # What a crashed run decided is decided again.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder
        self._whys: list[Why] = []
        self._stays = _Bits(folder / "stays", total)

    def compare(self, comparison: Comparison) -> None:
        """Let one group step decide over the examples that are still there."""
        count = sum(end - start for start, end in comparison.ordinals)
        buckets = 1 << max(0, (count // _BUCKET).bit_length())
        paths = self._partition(comparison, buckets)
        for path in paths:
            self._decide_bucket(comparison, np.fromfile(path, dtype=_ENTRY))
            path.unlink()

    def _partition(self, comparison: Comparison, buckets: int) -> list[Path]:
        """The keys of the examples that are still there, by their highest bits."""
        paths = [self._folder / f"keys-{number}" for number in range(buckets)]
        files = [open(path, "wb") for path in paths]  # noqa: SIM115  (closed below)
        shift = 64 - (buckets.bit_length() - 1)
        with open(comparison.keys, "rb") as keys:
            for start, end in comparison.ordinals:
                for first in range(start, end, _READ):
                    entries = self._entries(keys, first, min(_READ, end - first))
                    which = entries["high"] >> np.uint64(shift) if buckets > 1 else None
                    for number, file in enumerate(files):
                        part = entries if which is None else entries[which == number]
                        file.write(part.tobytes())
        for file in files:
            file.close()
        return paths

    def _entries(self, keys: Any, first: int, count: int) -> Any:
        found = np.frombuffer(keys.read(count * KEY_BYTES), dtype=_KEY)
        entries = np.empty(count, dtype=_ENTRY)
        entries["high"], entries["low"] = found["high"], found["low"]
        entries["ordinal"] = np.arange(first, first + count, dtype=np.uint64)
        return entries[self._stays.read(first, count)]

    def _decide_bucket(self, comparison: Comparison, entries: Any) -> None:
        if not len(entries):
            return
        # lexsort is stable: equal keys keep their canonical order.
        order = np.lexsort((entries["low"], entries["high"]))
        entries = entries[order]
        same = (entries["high"][1:] == entries["high"][:-1]) & (
            entries["low"][1:] == entries["low"][:-1]
        )
        edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
        ordinals = entries["ordinal"]
        drops: list[tuple[int, int, int, int]] = []
        for start, end in edges.reshape(-1, 2).tolist():
            group = ordinals[start : end + 1].tolist()
            for decision in comparison.step.decide(group):
                why = Why(
                    comparison.step.outcome, comparison.name, decision.reason, decision.message
                )
                drops.append((decision.member, decision.because_of, self._number(why), 0))
        self._store(np.array(drops, dtype=_DROP))

    def _number(self, why: Why) -> int:
        if why not in self._whys:
            self._whys.append(why)
        return self._whys.index(why)

    def _store(self, drops: Any) -> None:
        stretches = drops["ordinal"] // _STRETCH
        for stretch in np.unique(stretches).tolist():
            part = drops[stretches == stretch]
            with open(self._folder / f"drops-{stretch}", "ab") as file:
                file.write(part.tobytes())
            self._stays.clear(stretch * _STRETCH, part["ordinal"])

    def __iter__(self) -> Iterator[Drop]:
        """The decisions in canonical order."""
        for stretch in range(-(-self._stays.total // _STRETCH)):
            path = self._folder / f"drops-{stretch}"
            if not path.exists():
                continue
            drops = np.fromfile(path, dtype=_DROP)
            drops = drops[np.argsort(drops["ordinal"], kind="stable")]
            for ordinal, because_of, why, _ in drops.tolist():
                yield Drop(ordinal, because_of, self._whys[why])


class _Bits:
    """One byte an example in a file: 1 while it stays."""

    def __init__(self, path: Path, total: int) -> None:
        self._path = path
        self.total = total
        with open(path, "wb") as file:
            file.writelines(
                b"\x01" * min(_STRETCH, total - first) for first in range(0, total, _STRETCH)
            )

    def read(self, first: int, count: int) -> Any:
        with open(self._path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), count, first)
        return np.frombuffer(data, dtype=np.bool_)

    def clear(self, first: int, ordinals: Any) -> None:
        """Unset ordinals of the stretch that begins at `first`."""
        with open(self._path, "r+b", buffering=0) as file:
            stays = np.frombuffer(os.pread(file.fileno(), _STRETCH, first), dtype=np.uint8).copy()
            stays[ordinals - first] = 0
            os.pwrite(file.fileno(), stays.tobytes(), first)
