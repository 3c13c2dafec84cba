"""Writes hand-made seeds of a target into a folder: `python -m fuzz.seeds TARGET FOLDER`."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

LINE = b'{"instruction":"a","output":"b"}\n'


def gzipped(data: bytes) -> bytes:
    """The data packed; without a clock, so that seeds are the same at every run."""
    return gzip.compress(data, mtime=0)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of some members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], style: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar of some members, short."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style, bufsize=512) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()[:4096]


def seeds(name: str) -> list[bytes]:
    """The seeds of a target; mode bytes stand before what the target draws from."""
    if name == "archive":
        two = {"a.jsonl": LINE, "b.csv": b"a,b\n1,2\n"}
        return [
            zipped(two),
            zipped(two, zipfile.ZIP_STORED),
            zipped({"a.jsonl.gz": gzipped(LINE)}),
            zipped({"a.jsonl.bz2": bz2.compress(LINE)}, zipfile.ZIP_STORED),
            tarred(two),
            tarred({"a" * 120 + ".jsonl": LINE}, tarfile.GNU_FORMAT),
            tarred({"한" * 60 + ".jsonl": LINE}, tarfile.PAX_FORMAT),
            tarred({"a.jsonl.xz": lzma.compress(LINE)}),
            gzipped(tarred(two)),
            gzipped(LINE) + gzipped(LINE),
            bz2.compress(LINE),
            lzma.compress(LINE),
            gzipped(b"\x00" * (1 << 18)),
            zipped({"a.jsonl": b"\x00" * (1 << 18)}),
        ]
    texts = {
        "lines": [
            LINE * 3,
            b"\n \r\n" + LINE,
            b'{"a":1}\r\n\n{"b":2}',
            "{}\n{}".encode("utf-16-le"),
        ],
        "array": [
            b'[{"a":1},{"a":2}]',
            b'[ {"a":[{"a":1},{"a":2}]} ,\n{"a":"},{"}]',
            b'{"data":[{"a":1},{"a":2}],"b":1}',
            b'{\n"a":1}',
            b"[1,[2],null]",
            b"[]",
        ],
        "table": [b'a,b\n1,2\n"x,y","z\n"""\n', b"a,b\r\n1,2\r\n", b"a\n1\n"],
        "keys": [LINE, b'{"conversations":[{"from":"a","value":"b","from":"c"}]}'],
    }.get(name, [LINE, b'{"conversations":[{"from":"human","value":"b"}]}'])
    modes = [bytes([mode, number, 0]) for mode, number in itertools.product(range(4), range(5))]
    drawn = [
        mode + bytes(range(start, start + 60, step))
        for mode in modes
        for start, step in ((0, 1), (7, 3))
    ]
    raw = [bytes([0, number]) + text for text in texts for number in range(5)]
    return raw + drawn


def main() -> None:
    """Write the seeds."""
    name, folder = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (Path(folder) / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
