"""The ids that records bring along: how many come again in their source.

Ours are places, so an id that comes twice loses nothing; but it tells of a file that went in twice,
or of a conversation that was cut in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from dollymix.example import Example

_NONE = (b"null", b'""')
# So many hashes are sorted at once: 32 MB.
_BUCKET = 1 << 22
_READ = 1 << 20


def hashes(row: Any, examples: Sequence[Example]) -> bytes:
    """The XXH3-64 of each id of a record, 8 bytes each: its own, or those of its questions.

    A record that comes to nothing has none.
    """
    if not examples:
        return b""
    own = getattr(row, "id", msgspec.UNSET)
    found = [own] if own is not msgspec.UNSET else _questions(examples)
    written = {bytes(i) if isinstance(i, msgspec.Raw) else msgspec.json.encode(i) for i in found}
    return b"".join(map(xxhash.xxh3_64_digest, sorted(written.difference(_NONE))))


def _questions(examples: Sequence[Example]) -> list[object]:
    return [e.meta["id"] for e in examples if e.meta is not None and "id" in e.meta]


def count_repeated(path: Path) -> int:
    """How many of the hashes in a file stand there for the second time or more.

    The file is read once for each bucket of hashes, so that memory is a bucket.
    """
    import numpy as np

    total = path.stat().st_size // 8
    bits = (total // _BUCKET).bit_length()
    repeated = 0
    for bucket in range(1 << bits):
        parts: list[Any] = []
        with open(path, "rb") as file:
            while piece := file.read(8 * _READ):
                part = np.frombuffer(piece, dtype=">u8")
                parts.append(part[part >> np.uint64(64 - bits) == bucket] if bits else part)
        found = np.sort(np.concatenate(parts)) if parts else np.empty(0)
        repeated += int((found[1:] == found[:-1]).sum())
    return repeated
