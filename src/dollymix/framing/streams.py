"""The bytes of one input from its beginning to its end, unpacked within limits.

One archive and one stream may be packed into each other (`a.zip!b.jsonl.gz`, `a.tar.gz!b.jsonl`);
anything deeper is refused. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import bz2
import lzma
import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Protocol

from dollymix.errors import InputError
from dollymix.framing import Compression, Input, Limits, Member
from dollymix.text import printable

PIECE = 1 << 20
# A stream that grows more than its limit allows, after so much, is taken for a bomb.
_RATIO_AFTER = 64 << 20
# What a decoder may hold: the window of zstd and xz.
_CODEC_BYTES = 128 << 20
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
# Stands for standard input, where a path may stand.
STDIN = "-"

_TAR_MAGIC, _TAR_AT = b"ustar", 257
HEAD_BYTES = 512


def compression_of(head: bytes) -> Compression:
    """How a stream that begins so is packed, told by its magic number."""
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zstd"  # a skippable frame
    if head[_TAR_AT : _TAR_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
        return "tar"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "none")


def show(path: str) -> str:
    """A path, safe to print."""
    return printable(path)


def place_of(source: Input) -> str:
    """Where an input is, for messages: its path, with the archive's member."""
    path = STDIN if source.is_stdin else show(source.path)
    return path + (f"!{show(source.member)}" if source.member else "")


def head_of(path: str) -> bytes:
    """The first bytes of a file, enough to tell what it is. Raises InputError."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise InputError("io.unreadable", show(path), message) from error


def stream_compression(source: Input) -> Compression:
    """How an input is packed."""
    return source.archive or compression_of(head_of(source.path))


class Reader(Protocol):
    """A stream of decompressed bytes."""

    def read(self) -> bytes:
        """The next piece; empty at the end. Raises InputError."""

    def close(self) -> None:
        """Close what is read."""


class Decompressor(Protocol):
    """What zstd, gzip, bzip2 and xz decoders have in common."""

    @property
    def eof(self) -> bool:
        """True behind the end of a frame."""

    @property
    def needs_input(self) -> bool:
        """False where more can come without more input."""

    @property
    def unused_data(self) -> bytes:
        """What stood behind the end."""

    def decompress(self, data: Any, max_length: int = -1, /) -> bytes:
        """At most `max_length` bytes of what the data unpack to."""


def open_stream(source: Input, compression: Compression, limits: Limits | None = None) -> Reader:
    """The decompressed bytes of an input, from the beginning.

    Raises InputError where it cannot be opened; reading does (`io.*`, `compress.*`, `archive.*`)
    where the stream is broken or not safe.
    """
    try:
        return _Stream(source, compression, limits or Limits())
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise InputError("io.unreadable", show(source.path), message) from error


class _Stream:
    """One input, read and unpacked piece by piece."""

    def __init__(self, source: Input, compression: Compression, limits: Limits) -> None:
        self._place = place_of(source)
        self._limits = limits
        self._file = open(source.path, "rb", buffering=0)  # noqa: SIM115  (closed by close)
        inside = source.inside
        self._pieces = self._open(compression) if inside is None else self._member(source, inside)

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, compression: Compression) -> Iterator[bytes]:
        return self._plain() if compression == "none" else self._unpack(compression, self._read)

    def _member(self, source: Input, member: Member) -> Iterator[bytes]:
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != (source.size, source.mtime_ns):
            self.close()
            raise InputError("io.changed", show(source.path), "was changed while it was read")
        if source.archive == "zip":
            return self._unpack_member(self._zip_member(member))
        return self._tar_member(member)

    def _read(self) -> bytes:
        return self._file.read(PIECE)

    def _plain(self) -> Iterator[bytes]:
        while piece := self._read():
            yield piece

    def _tar_member(self, member: Member) -> Iterator[bytes]:
        """The member's stretch of the tar, which may be packed, or hold a packed stream."""
        outer = compression_of(self._read_head())
        if outer not in ("none", "tar"):
            return self._stretch(self._unpack(outer, self._read), member.offset, member.length)
        self._file.seek(member.offset)
        return self._unpack_member(self._stretch(self._plain(), 0, member.length))

    def _read_head(self) -> bytes:
        head = self._file.read(HEAD_BYTES)
        self._file.seek(0)
        return head

    def _stretch(self, pieces: Iterator[bytes], start: int, length: int) -> Iterator[bytes]:
        position, end = 0, start + length
        for piece in pieces:
            wanted = piece[max(start - position, 0) : max(end - position, 0)]
            position += len(piece)
            if wanted:
                yield wanted
            if position >= end:
                return
        raise self._error("archive.truncated", "the member is cut off", max(position - start, 0))

    def _unpack_member(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """A member, which may itself be a packed stream."""
        first = next(pieces, b"")
        packed = compression_of(first)
        ahead = chain([first], pieces)
        if packed in ("none", "zip", "tar"):
            yield from ahead
        else:
            yield from self._unpack(packed, lambda: next(ahead, b""))

    def _unpack(self, kind: Compression, read: Callable[[], bytes]) -> Iterator[bytes]:
        """All frames of a packed stream, one behind the other."""
        new, failures = _decompressor(kind)
        decoder, data, consumed, produced = new(), read(), 0, 0
        while True:
            try:
                piece = decoder.decompress(data, PIECE)
            except failures as error:
                raise self._broken(error, produced) from error
            consumed, data = consumed + len(data), b""
            produced += len(piece)
            self._check_ratio(consumed, produced)
            if piece:
                yield piece
            if decoder.eof:
                data = decoder.unused_data
                consumed -= len(data)
                data = self._next_frame(data, read, padding=kind in ("gzip", "xz"))
                if not data:
                    return
                if compression_of(data) != kind:
                    raise self._error("compress.trailing_data", "has other data behind its end")
                decoder = new()
            elif decoder.needs_input:
                data = read()
                if not data:
                    raise self._error("compress.truncated", "is cut off", produced)

    def _next_frame(self, data: bytes, read: Callable[[], bytes], *, padding: bool) -> bytes:
        """What follows a frame, as far as its magic number; it may be padded with NULs."""
        while len(data) < 6 or (padding and not data.strip(b"\x00")):
            if padding and not data.strip(b"\x00"):
                data = b""
            more = read()
            if not more:
                break
            data += more
        return data.lstrip(b"\x00") if padding else data

    def _zip_member(self, member: Member) -> Iterator[bytes]:
        from isal import isal_zlib

        self._file.seek(member.offset)
        checksum = produced = 0
        stored = self._stretch(self._plain(), 0, member.length)
        for piece in self._inflate(stored, member.length) if member.deflated else stored:
            produced += len(piece)
            checksum = isal_zlib.crc32(piece, checksum)
            yield piece
        if produced != member.size or checksum != member.crc:
            raise self._error("archive.crc", "the member's checksum or size is wrong")

    def _inflate(self, pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
        igzip = _igzip()
        decoder = igzip.IgzipDecompressor(igzip.DECOMP_DEFLATE)
        produced, data = 0, b""
        while not decoder.eof:
            if decoder.needs_input:
                data = next(pieces, b"")
                if not data:
                    raise self._error("archive.truncated", "the member is cut off", produced)
            try:
                piece = decoder.decompress(data, PIECE)
            except igzip.error as error:
                raise self._broken(error, produced) from error
            data = b""
            produced += len(piece)
            self._check_ratio(max(length, 1), produced)
            if piece:
                yield piece

    def _check_ratio(self, consumed: int, produced: int) -> None:
        ratio = self._limits.ratio
        if produced > _RATIO_AFTER and produced > ratio * consumed:
            message = f"grows more than {ratio} times: a bomb? `limits: {{ratio: N}}` allows more"
            raise self._error("compress.ratio", message)

    def _broken(self, error: Exception, produced: int) -> InputError:
        text = str(error).lower()
        reason = "compress.checksum" if "check" in text else "compress.broken"
        if "memory" in text:
            reason = "compress.memory"
        if "dictionary" in text:
            reason = "compress.dictionary"
        return self._error(reason, f"cannot be unpacked: {error}", produced)

    def _error(self, reason: str, message: str, byte: int | None = None) -> InputError:
        return InputError(reason, self._place, message, byte)


def _decompressor(
    kind: Compression,
) -> tuple[Callable[[], Decompressor], tuple[type[Exception], ...]]:
    """How to make a decoder for a kind of stream, and what it raises."""
    if kind == "gzip":
        igzip = _igzip()
        make = lambda: igzip.IgzipDecompressor(flag=igzip.DECOMP_GZIP)  # noqa: E731
        return make, (igzip.error, EOFError)
    if kind == "bzip2":
        return bz2.BZ2Decompressor, (OSError, EOFError, ValueError)
    if kind == "xz":
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _CODEC_BYTES), (lzma.LZMAError,)
    zstd = zstd_module()
    window = {zstd.DecompressionParameter.window_log_max: _CODEC_BYTES.bit_length() - 1}
    return lambda: zstd.ZstdDecompressor(options=window), (zstd.ZstdError, EOFError)


def _igzip() -> Any:
    # Its type stubs call the module's exception class an exception.
    from isal import igzip_lib

    return igzip_lib


def zstd_module() -> Any:
    """The standard library's zstd, or its backport before Python 3.14."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd
    return zstd


def stored_length(data: bytes | bytearray, encoding: str) -> int:
    """How many bytes UTF-8 text takes in the encoding it was stored in; where something that is
    none of it was replaced in the text, about as many."""
    return len(data) if encoding == "utf-8" else len(data.decode().encode(encoding, "replace"))


def read_range(path: str, start: int, end: int) -> bytearray:
    """The bytes of a plain file from `start` to `end`."""
    buffer = bytearray(end - start)
    read_into(path, start, memoryview(buffer))
    return buffer


def read_into(path: str, start: int, view: memoryview) -> None:
    """Fill the view from the byte `start` on. Raises InputError where the file is too short."""
    filled = 0
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while filled < len(view):
            count = file.readinto(view[filled:])
            if not count:
                message = "became shorter while it was read"
                raise InputError("io.changed", show(path), message, start + filled)
            filled += count
