"""The members of a zip or a tar: their names, their places, and whether they are safe.

Only the directory (of a tar: the headers) is read here. A member that is not safe refuses the
archive: nothing is ever unpacked by name, but an archive that tries is not to be trusted.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from dollymix.errors import InputError
from dollymix.framing import Member
from dollymix.framing.streams import Reader, show
from dollymix.text import first_repeated, printable

LITTER = re.compile(r"(^|/)(\.|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)")
_DATA_NAME = re.compile(
    r"\.(jsonl?|ndjson|csv|tsv|parquet|arrow)(\.(gz|bz2|xz|zst))?$", re.IGNORECASE
)
_LOCAL_HEADER, _END_BYTES = 30, 22
# A tar's header block, and the most that a name or other attribute may take.
_BLOCK, _ATTRIBUTE_BYTES = 512, 1 << 20


def looks_like_data(name: str) -> bool:
    """True for a name that data usually has: such a member is never passed over."""
    return bool(_DATA_NAME.search(name))


def zip_members(path: str) -> list[Member]:
    """The members of a zip. Raises InputError (`archive.*`) where one is not safe."""
    entries, behind = _zip_directory(path)
    chosen: list[zipfile.ZipInfo] = []
    for entry in entries:
        name = _zip_name(entry)
        place = f"{show(path)}!{printable(name)}"
        _check_name(entry.orig_filename, place)
        if name.endswith("/") or LITTER.search(name):
            continue
        _check_zip_entry(entry, place)
        chosen.append(entry)
    _check_different([_zip_name(entry) for entry in entries], path)
    starts = _data_starts(path, entries, behind)
    if not chosen:
        raise InputError("input.empty", show(path), "the archive holds no file")
    return [_zip_member(entry, starts[entry.header_offset]) for entry in chosen]


def _zip_member(entry: zipfile.ZipInfo, start: int) -> Member:
    deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    length, size = entry.compress_size, entry.file_size
    return Member(_zip_name(entry), start, length, deflated, size, entry.CRC)


def ends_as_zip(path: str, size: int) -> bool:
    """True for a file that ends as a zip does, whatever it begins with."""
    with open(path, "rb", buffering=0) as file:
        file.seek(max(size - _END_BYTES, 0))
        return file.read(4) == b"PK\x05\x06"


def _zip_directory(path: str) -> tuple[list[zipfile.ZipInfo], int]:
    """The directory's entries, and where it begins."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("archive.truncated", show(path), f"is no whole zip: {error}") from error


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name; where it is not in UTF-8 it may be in CP949, as Korean Windows writes it.

    It is that which is checked: a second one, in an extra field, is read by newer Pythons alone.
    """
    if entry.flag_bits & 0x800:
        return entry.orig_filename
    raw = entry.orig_filename.encode("cp437")
    for encoding in ("ascii", "utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.orig_filename


def _check_name(name: str, place: str) -> None:
    absolute = name.startswith(("/", "\\")) or ":" in name[:2]
    if not name or absolute or ".." in re.split(r"[/\\]", name) or not name.isprintable():
        raise InputError("archive.unsafe_name", place, "the member's name is not safe")


def _check_zip_entry(entry: zipfile.ZipInfo, place: str) -> None:
    if entry.flag_bits & 1:
        raise InputError("archive.encrypted", place, "the member is encrypted. Unpack it first")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError("archive.unsafe_member", place, "the member is a link or no regular file")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        message = f"the member is packed by method {entry.compress_type}, not deflate. Pack it anew"
        raise InputError("archive.method", place, message)


def _check_different(names: list[str], path: str) -> None:
    twice = first_repeated(names)
    if twice is not None:
        place = f"{show(path)}!{printable(twice)}"
        raise InputError("archive.duplicate_name", place, "two members have this name")


def _data_starts(path: str, entries: list[zipfile.ZipInfo], behind: int) -> dict[int, int]:
    """Where each entry's data begins, by the offset of its header.

    Raises InputError unless members stand one behind the other from the first byte on, each under
    its own name, and the directory behind them.
    """
    starts: dict[int, int] = {}
    end = 0
    with open(path, "rb") as file:
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            place = f"{show(path)}!{printable(_zip_name(entry))}"
            if entry.header_offset < end:
                message = "the member shares bytes with another: a bomb?"
                raise InputError("archive.overlap", place, message)
            if end == 0 and entry.header_offset:
                message = "has other data before its first member"
                raise InputError("archive.inconsistent", show(path), message)
            start = _data_start(file, entry, place)
            starts[entry.header_offset] = start
            end = start + entry.compress_size
            if end > behind:
                message = "the member shares bytes with the directory"
                raise InputError("archive.overlap", place, message)
    return starts


def _data_start(file: BinaryIO, entry: zipfile.ZipInfo, place: str) -> int:
    """Where an entry's data begins: behind its own header."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise InputError("archive.inconsistent", place, "the member is not where the zip says")
    name = file.read(int.from_bytes(header[26:28], "little"))
    encoding = "utf-8" if entry.flag_bits & 0x800 else "cp437"
    if name != entry.orig_filename.encode(encoding):
        message = "the member has another name where its data is"
        raise InputError("archive.inconsistent", place, message)
    extra = int.from_bytes(header[28:30], "little")
    return entry.header_offset + _LOCAL_HEADER + len(name) + extra


def tar_members(path: str, open_tar: Callable[[], Reader]) -> list[Member]:
    """The members of a tar, read as a stream. Raises InputError where one is not safe."""
    stream = _Forward(open_tar(), show(path))
    members: list[Member] = []
    names: list[str] = []
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
            for entry in archive:
                archive.members = []  # it would keep every header
                place = f"{show(path)}!{printable(entry.name)}"
                _check_name(entry.name, place)
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    message = "the member is a link, a device or sparse: no plain file"
                    raise InputError("archive.unsafe_member", place, message)
                names.append(entry.name)
                if not LITTER.search(entry.name):
                    members.append(Member(entry.name, entry.offset_data, entry.size))
        stream.check_end()
    except (tarfile.TarError, EOFError, ValueError) as error:
        message = f"is no whole tar: {error}"
        raise InputError("archive.truncated", show(path), message) from error
    finally:
        stream.close()
    _check_different(names, path)
    if not members:
        raise InputError("input.empty", show(path), "the archive holds no file")
    return members


class _Forward:
    """A stream as a file that is only read forwards, as tarfile wants it.

    Data is passed over without being held, and no attribute may be larger than a stated size.
    """

    def __init__(self, reader: Reader, place: str) -> None:
        self._reader = reader
        self._place = place
        self._buffer = b""
        self._position = 0
        self._zeros = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        if whence or position < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < position:
            taken = self._take(position - self._position)
            if not taken:
                raise tarfile.ReadError("it is cut off")
        return self._position

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _ATTRIBUTE_BYTES:
            message = f"a header has an attribute of more than {_ATTRIBUTE_BYTES} bytes"
            raise InputError("archive.inconsistent", self._place, message)
        found = b""
        while len(found) < size:
            taken = self._take(size - len(found))
            if not taken:
                break
            found += taken
        is_zero = len(found) == _BLOCK and not found.strip(b"\x00")
        self._zeros = self._zeros + 1 if is_zero else 0
        return found

    def _take(self, most: int) -> bytes:
        self._buffer = self._buffer or self._reader.read()
        taken, self._buffer = self._buffer[:most], self._buffer[most:]
        self._position += len(taken)
        return taken

    def check_end(self) -> None:
        """A tar ends in blocks of zeros; without them, or behind them, members may be missing."""
        if not self._zeros:
            raise tarfile.ReadError("its end is missing")
        # To the end of a packed tar, too: only there its checksum is compared.
        while rest := self._take(_ATTRIBUTE_BYTES):
            if rest.strip(b"\x00"):
                message = "has other data behind its end"
                raise InputError("archive.inconsistent", self._place, message)

    def close(self) -> None:
        self._reader.close()


def is_passed_over(member: str, error: Any) -> bool:
    """True where a member that cannot be read is no data: it is left out, with a warning."""
    if not member or looks_like_data(member) or not isinstance(error, InputError):
        return False
    return error.reason in ("format.binary", "format.unread", "format.unknown", "format.mismatch")
