"""Which files, in which order, under which names.

Order: as listed; what a folder or a glob holds, by its encoded path; archive members by name.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from dollymix.errors import InputError
from dollymix.framing import Compression, Input, Limits, Member
from dollymix.framing.archives import LITTER, ends_as_zip, tar_members, zip_members
from dollymix.framing.streams import (
    HEAD_BYTES,
    STDIN,
    Reader,
    compression_of,
    head_of,
    open_stream,
    show,
)
from dollymix.text import nearest

# The build held an input to its limits, whatever they were.
_AS_BUILT = Limits(ratio=1 << 40)
_PACKED: tuple[Compression, ...] = ("gzip", "zstd", "bzip2", "xz")


def list_inputs(
    patterns: list[str], base: Path, limits: Limits | None = None, stdin: str | None = None
) -> list[Input]:
    """The files that the patterns (paths, folders, globs; relative to `base`) stand for; `-`
    stands for `stdin`, a file that holds what was read from standard input.

    Raises InputError (`io.*`, `archive.*`) for one that cannot be found or is no regular file.
    """
    paths: list[str] = []
    for pattern in patterns:
        paths += [STDIN] if pattern == STDIN else _expand(pattern, base)
    folder = _common_folder([path for path in paths if path != STDIN])
    found: list[Input] = []
    seen: set[str] = set()
    for path in paths:
        name = os.path.relpath(path, folder).replace(os.sep, "/") if path != STDIN else "stdin"
        name = encode_name(name)
        if name in seen:
            raise InputError("io.repeated", show(path), "is listed twice in one source")
        seen.add(name)
        if path == STDIN:
            found += _open_stdin(stdin, name, limits or Limits())
        else:
            found += _open_archive(path, name, limits or Limits())
    return found


def _open_stdin(path: str | None, name: str, limits: Limits) -> list[Input]:
    if path is None:
        raise InputError("io.missing", STDIN, "standard input cannot be read here")
    try:
        found = _open_archive(path, name, limits)
    except InputError as error:
        place = STDIN + error.place.removeprefix(show(path))
        raise InputError(error.reason, place, error.message, error.byte) from error
    return [msgspec.structs.replace(item, is_stdin=True) for item in found]


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
        if not LITTER.search(os.path.relpath(os.path.join(root, name), folder))
    ]
    if not files:
        raise InputError("io.not_regular", show(folder), "is a folder that holds no file")
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


def _open_archive(path: str, name: str, limits: Limits) -> list[Input]:
    """The file itself, or its members where it is a zip or a tar."""
    kind = compression_of(head_of(path))
    status = os.stat(path)
    plain = Input(path, name, status.st_size, status.st_mtime_ns, status.st_ino)
    if kind == "zip" or (kind == "none" and ends_as_zip(path, status.st_size)):
        return [_member(plain, member, "zip") for member in _sorted(zip_members(path))]
    if kind == "tar" or (kind in _PACKED and _holds_tar(plain, kind, limits)):
        packed = "none" if kind == "tar" else kind
        members = tar_members(path, lambda: open_stream(plain, packed, limits))
        return [_member(plain, member, "tar") for member in _sorted(members)]
    return [plain]


def reopen(path: str, name: str, member: str) -> Input:
    """An input that a build has read. Raises InputError where its archive has no such member."""
    for item in _open_archive(path, name.partition("!")[0], _AS_BUILT):
        if item.member == member:
            return item
    raise InputError("io.changed", show(path), f"holds no member {show(member)} any more")


def reopen_stream(path: str, name: str, member: str, compression: Compression) -> Reader:
    """The decompressed bytes of an input that a build has read. Raises InputError as `reopen`."""
    return open_stream(reopen(path, name, member), compression, _AS_BUILT)


def _sorted(members: list[Member]) -> list[Member]:
    return sorted(members, key=lambda member: encode_name(member.name))


def _member(plain: Input, member: Member, archive: Literal["zip", "tar"]) -> Input:
    name = f"{plain.name}!{encode_name(member.name)}"
    return msgspec.structs.replace(plain, name=name, archive=archive, inside=member)


def _holds_tar(source: Input, kind: Compression, limits: Limits) -> bool:
    """True where a packed stream begins as a tar does. What is broken is told when it is read."""
    stream = open_stream(source, kind, limits)
    head = b""
    try:
        while len(head) < HEAD_BYTES and (piece := stream.read()):
            head += piece
    except InputError:
        return False
    finally:
        stream.close()
    return compression_of(head) == "tar"
