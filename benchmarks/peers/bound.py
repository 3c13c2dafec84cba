"""The least work that any merge must do: read, inflate, parse once, write as much.

Usage: python bound.py INPUT_DIR OUTPUT.jsonl

Finds the elements of each array without decoding them, converts nothing, and writes as
many bytes as the merged set has. Its output is not a data set.
"""

import json
import mmap
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from isal import isal_zlib

Parser = msgspec.json.Decoder[list[msgspec.Raw]] | msgspec.json.Decoder["Document"]

_ARRAYS = (
    "kovicuna/ko_dataset.json",
    "kovicuna/ko_dataset_2.json",
    "kovicuna/ko_alpaca_style_dataset.json",
    "alpaca/ko_alpaca_data.json",
)
_LOCAL_HEADER = struct.Struct("<26xHH")


class Document(msgspec.Struct):
    """A KorQuAD file: its articles or pages, undecoded."""

    data: list[msgspec.Raw]


def main(source: Path, output: Path) -> None:
    """Parses every input file and writes the bytes of the output."""
    array = msgspec.json.Decoder(list[msgspec.Raw])
    document = msgspec.json.Decoder(Document)
    for name in _ARRAYS:
        parse(source / name, array)
    parse(source / "korquad1/KorQuAD_v1.0_train.json", document)
    for path in sorted(source.glob("korquad2/*.zip")):
        for member in members(path):
            document.decode(member)
    truth = json.loads((source / "truth.json").read_bytes())
    write(output, truth["total"]["dolly_bytes"])


def parse(path: Path, decoder: Parser) -> None:
    """Parses one file through a memory map."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
    ):
        decoder.decode(view)


def members(path: Path) -> Iterator[bytes]:
    """The inflated members of a zip, in the order of their names."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            file.seek(info.header_offset)
            name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(name + extra, 1)
            deflated = file.read(info.compress_size)
            yield isal_zlib.decompress(deflated, wbits=-15, bufsize=info.file_size)


def write(output: Path, size: int) -> None:
    """Writes `size` bytes from one buffer."""
    buffer = (b"x" * 1023 + b"\n") * 1024
    with output.open("wb", buffering=0) as file:
        for _ in range(size // len(buffer)):
            file.write(buffer)
        file.write(buffer[: size % len(buffer)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
