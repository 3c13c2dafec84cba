"""Which files, in which order, and how to read one from its beginning to its end.

Order: as listed; what a folder or a glob holds, by its encoded path; archive members by name.
Archive members are never unpacked to disk.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from dollymix.errors import InputError
from dollymix.framing import Compression, Framing, Input
from dollymix.text import nearest, printable

PIECE = 1 << 20
# A stream that grows more than this, after its first 64 MiB, is taken for a bomb.
_RATIO, _RATIO_AFTER = 500, 64 << 20
_LITTER = re.compile(r"(^|/)(\.|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)")
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_UNREAD = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow IPC"),
    (b"%PDF", "PDF"),
    (b"\x89HDF", "HDF5"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "RAR"),
)


def list_inputs(patterns: list[str], base: Path) -> list[Input]:
    """The files that the patterns (paths, folders, globs; relative to `base`) stand for.

    Raises InputError (`io.*`, `archive.*`) for one that cannot be found or is no regular file.
    """
    paths: list[str] = []
    for pattern in patterns:
        paths += _expand(pattern, base)
    folder = _common_folder(paths)
    found: list[Input] = []
    seen: set[str] = set()
    for path in paths:
        name = encode_name(os.path.relpath(path, folder).replace(os.sep, "/"))
        if name in seen:
            raise InputError("io.repeated", show(path), "is listed twice in one source")
        seen.add(name)
        found += _open_archive(path, name)
    return found


def show(path: str) -> str:
    """A path, safe to print."""
    return printable(path)


def place_of(source: Input) -> str:
    """Where an input is, for messages: its path, with the archive's member."""
    return show(source.path) + (f"!{show(source.member)}" if source.member else "")


def encode_name(name: str) -> str:
    """A file's name for ids: `%`, `#`, `!`, control and undecodable characters percent-encoded."""
    return "".join(c if _plain(c) else _percent(c) for c in name)


def encode_undecodable(text: str) -> str:
    """The text with undecodable bytes percent-encoded, so that it can be written as UTF-8."""
    return "".join(_percent(c) if "\ud800" <= c <= "\udfff" else c for c in text)


def _plain(char: str) -> bool:
    return char not in "%#!" and char.isprintable()


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in os.fsencode(char))


def _expand(pattern: str, base: Path) -> list[str]:
    path = os.path.normpath(base / os.path.expanduser(pattern))
    if os.path.lexists(path):
        if os.path.isdir(path):
            return _walk(path)
        _require_regular(path)
        return [path]
    matches = glob.glob(path, recursive=True) if glob.has_magic(pattern) else []
    files = sorted((m for m in matches if os.path.isfile(m)), key=encode_name)
    if not files:
        raise InputError("io.missing", show(pattern), f"there is no such file{_near(path)}")
    return files


def _near(path: str) -> str:
    folder = os.path.dirname(path)
    try:
        found = nearest(os.path.basename(path), os.listdir(folder))
    except OSError:
        return f", nor its folder {show(folder)}"
    return f". Did you mean {show(found)}?" if found else ""


def _walk(folder: str) -> list[str]:
    files = [
        os.path.join(root, name)
        for root, folders, names in os.walk(folder)
        for name in names
        if not _LITTER.search(os.path.relpath(os.path.join(root, name), folder))
    ]
    if not files:
        raise InputError("io.missing", show(folder), "the folder holds no file")
    for path in files:
        _require_regular(path)
    return sorted(files, key=encode_name)


def _require_regular(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        code = "io.loop" if error.errno == errno.ELOOP else "io.missing"
        raise InputError(code, show(path), f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise InputError("io.not_regular", show(path), "is no regular file")


def _common_folder(paths: list[str]) -> str:
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    return os.path.commonpath(folders) if folders else "."


def _open_archive(path: str, name: str) -> list[Input]:
    """The file itself, or its members where it is a zip."""
    try:
        status = os.stat(path)
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(
            "io.unreadable", show(path), f"cannot be read: {error.strerror}"
        ) from error
    plain = Input(path, name, "", status.st_size, status.st_mtime_ns, status.st_ino)
    if compression_of(head) != "zip":
        return [plain]
    members = sorted(_members(path), key=encode_name)
    return [
        Input(path, f"{name}!{encode_name(m)}", m, plain.size, plain.mtime_ns, plain.inode)
        for m in members
    ]


def compression_of(head: bytes) -> Compression:
    """How a stream that begins so is packed, told by its magic number."""
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zstd"  # a skippable frame
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "none")


def unread_kind(head: bytes) -> str | None:
    """The name of a binary form that is known but not read, or None."""
    return next((name for magic, name in _UNREAD if head.startswith(magic)), None)


def _members(path: str) -> list[str]:
    """The names of the members that hold data; unsafe ones refuse the archive."""
    names: list[str] = []
    for info in _directory(path):
        place = f"{show(path)}!{printable(info.filename)}"
        unsafe = info.filename.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", info.filename)
        if unsafe or not info.orig_filename.isprintable() or ":" in info.filename[:2]:
            raise InputError("archive.unsafe_name", place, "the member's name is not safe")
        if info.is_dir() or _LITTER.search(info.filename):
            continue
        if info.flag_bits & 1:
            raise InputError("archive.encrypted", place, "the member is encrypted. Unpack it first")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError("archive.unsafe_member", place, "the member is a link")
        if info.filename in names:
            raise InputError("archive.duplicate_name", place, "two members have this name")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                "archive.method", place, f"is packed by method {info.compress_type}, not deflate"
            )
        names.append(info.filename)
    if not names:
        raise InputError("input.empty", show(path), "the archive holds no file")
    return names


def _directory(path: str) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError("archive.truncated", show(path), f"is no whole zip: {error}") from error


class Decompressor(Protocol):
    """What zstd, gzip and deflate decoders have in common."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: Any, max_length: int = -1) -> bytes: ...


class PlainReader:
    """A plain file as a stream."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  (closed by close)

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        return self._file.read(PIECE)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class InflatingReader:
    """A gzip or zstd file, or a zip member, inflated piece by piece.

    Raises InputError (`compress.*`, `archive.*`) where the stream is broken.
    """

    def __init__(self, source: Input, compression: Compression) -> None:
        self._place = place_of(source)
        self._file = open(source.path, "rb", buffering=0)  # noqa: SIM115  (closed by close)
        self._pieces = self._inflate(source, compression)

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _inflate(self, source: Input, compression: Compression) -> Iterator[bytes]:
        if compression != "zip":
            return self._inflate_frames(compression, lambda: self._file.read(PIECE))
        return self._unpack_member(self._inflate_member(source))

    def _unpack_member(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """A member, which may itself be a gzip or zstd stream."""
        first = next(pieces, b"")
        packed = compression_of(first)
        ahead = chain([first], pieces)
        if packed in ("none", "zip"):
            return ahead
        return self._inflate_frames(packed, lambda: next(ahead, b""))

    def _inflate_frames(self, kind: Compression, read: Callable[[], bytes]) -> Iterator[bytes]:
        """All frames of a gzip or zstd stream, one behind the other."""
        new, failure = _decompressor(kind)
        decoder, data, consumed, produced = new(), read(), 0, 0
        while True:
            try:
                piece = decoder.decompress(data, PIECE)
            except (failure, EOFError) as error:
                raise self._broken(error, produced) from error
            consumed, data = consumed + len(data), b""
            produced += len(piece)
            self._check_ratio(consumed, produced)
            if piece:
                yield piece
            if decoder.eof:
                data = decoder.unused_data
                consumed -= len(data)
                data = self._next_frame(data, read, padding=kind == "gzip")
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
        """What follows a frame, as far as its magic number; gzip may be padded with NULs."""
        while len(data) < 4 or (padding and not data.strip(b"\x00")):
            if padding and not data.strip(b"\x00"):
                data = b""
            more = read()
            if not more:
                return data
            data += more
        return data

    def _inflate_member(self, source: Input) -> Iterator[bytes]:
        from isal import isal_zlib

        igzip_lib = _igzip()
        info = next(i for i in _directory(source.path) if i.filename == source.member)
        left = self._seek_member(info)
        stored = info.compress_type == zipfile.ZIP_STORED
        decoder: Any = None if stored else igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        checksum = produced = 0
        data = b""
        while stored or not decoder.eof:
            if stored or decoder.needs_input:
                data = self._file.read(min(PIECE, left))
                left -= len(data)
                if not data and (left or not stored):
                    raise self._error("archive.truncated", "the member is cut off", produced)
                if not data:
                    break
            try:
                piece = data if stored else decoder.decompress(data, PIECE)
            except igzip_lib.error as error:
                raise self._broken(error, produced) from error
            data = b""
            produced += len(piece)
            checksum = isal_zlib.crc32(piece, checksum)
            self._check_ratio(max(info.compress_size, 1), produced)
            if piece:
                yield piece
        if produced != info.file_size or checksum != info.CRC:
            raise self._error("archive.crc", "the member's checksum or size is wrong")

    def _seek_member(self, info: zipfile.ZipInfo) -> int:
        """Go to the member's data; returns how many bytes it has."""
        self._file.seek(info.header_offset)
        header = self._file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise self._error("archive.inconsistent", "the member is not where the zip says")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        self._file.seek(name_length + extra_length, os.SEEK_CUR)
        return info.compress_size

    def _check_ratio(self, consumed: int, produced: int) -> None:
        if produced > _RATIO_AFTER and produced > _RATIO * consumed:
            raise self._error("compress.ratio", f"grows more than {_RATIO} times: a bomb?")

    def _broken(self, error: Exception, produced: int) -> InputError:
        text = str(error).lower()
        reason = "compress.checksum" if "check" in text else "compress.broken"
        if "memory" in text or "window" in text:
            reason = "compress.memory"
        if "dictionary" in text:
            reason = "compress.dictionary"
        return self._error(reason, f"cannot be inflated: {error}", produced)

    def _error(self, reason: str, message: str, byte: int | None = None) -> InputError:
        return InputError(reason, self._place, message, byte)


def _decompressor(kind: Compression) -> tuple[Callable[[], Decompressor], type[Exception]]:
    """How to make a decoder for a kind of stream, and what it raises."""
    if kind == "gzip":
        igzip = _igzip()
        return lambda: igzip.IgzipDecompressor(flag=igzip.DECOMP_GZIP), igzip.error
    zstd = zstd_module()
    return zstd.ZstdDecompressor, zstd.ZstdError


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


class Reader(Protocol):
    """A stream of decompressed bytes."""

    def read(self) -> bytes: ...

    def close(self) -> None: ...


def open_stream(source: Input, framing: Framing | None = None) -> Reader:
    """The decompressed bytes of an input, from the beginning."""
    compression = framing.compression if framing else stream_compression(source)
    try:
        if compression == "none":
            return PlainReader(source.path)
        return InflatingReader(source, compression)
    except OSError as error:
        raise InputError("io.unreadable", show(source.path), f"{error.strerror}") from error


def stream_compression(source: Input) -> Compression:
    """How an input is packed."""
    if source.member:
        return "zip"
    with open(source.path, "rb") as file:
        return compression_of(file.read(8))


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
