"""Files and folders that outlive a power cut; what a failed sync was about is not synced again."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from dollymix.errors import BuildError, StoppedError
from dollymix.text import printable

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
SYNC_BYTES = 64 << 20
_PIECE = 1 << 20


class Mark(NamedTuple):
    """How long a file is, and the digest (XXH3, 128 bits) of that much of it."""

    length: int
    digest: str


class Appender:
    """A file that is only written at its end. Whatever fails names the file."""

    def __init__(self, path: Path, mark: Mark | None = None) -> None:
        self.path = path
        self.length = 0
        self._digest: xxhash.xxh3_128 | None = xxhash.xxh3_128()
        self._file = -1
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            try:
                if mark is not None:
                    self._take_up(mark)
                self._cut(self.length)
            except BaseException:
                os.close(self._file)
                raise
        # An empty file is not there for certain, either, before it is synced.
        self._synced = self.length or -1

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self.path, flags, 0o644)
        os.lseek(self._file, self.length, os.SEEK_SET)

    def _take_up(self, mark: Mark) -> None:
        """Go on behind what a mark says is there; raises BuildError where it is not."""
        digest = _digest_of(self._file, mark.length)
        if digest is None or digest.hexdigest() != mark.digest:
            raise BuildError(f"{shown(self.path)}: is not what its journal says")
        self.length, self._digest = mark.length, digest

    def write(self, data: Any) -> None:
        """Write all of the data."""
        view = memoryview(data)
        with naming(self.path):
            if self._file < 0:
                self._open()
            if self._digest is not None:
                self._digest.update(view)
            while len(view):
                count = os.write(self._file, view)
                view = view[count:]
                self.length += count
            if self.length - self._synced >= SYNC_BYTES:
                self.sync()

    def mark(self) -> Mark:
        """How far the file is."""
        if self._digest is None:
            with naming(self.path), open(self.path, "rb", buffering=0) as file:
                self._digest = _digest_of(file.fileno(), self.length)
        if self._digest is None:
            raise BuildError(f"{shown(self.path)}: became shorter while it was written")
        return Mark(self.length, self._digest.hexdigest())

    def truncate(self, length: int) -> None:
        """Take back what was written behind `length`."""
        with naming(self.path):
            if self._file < 0:
                self._open()
            self._cut(length)
        if length != self.length:
            self.length, self._digest = length, None
            self._synced = -1

    def _cut(self, length: int) -> None:
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)

    def sync(self) -> None:
        """Make what was written durable, and give its pages back."""
        if self._synced == self.length or self._file < 0:
            return
        with naming(self.path):
            os.fsync(self._file)
        let_go(self._file, max(self._synced, 0), 0)
        self._synced = self.length

    def rest(self) -> None:
        """Close the file until it is written again."""
        self.sync()
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file < 0:
            return
        file, self._file = self._file, -1
        with naming(self.path):
            os.close(file)


def shown(path: str | Path) -> str:
    """A path, safe to print."""
    return printable(os.fspath(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of calls that know a descriptor alone get the file's name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _digest_of(file: int, length: int) -> xxhash.xxh3_128 | None:
    """The digest of a file's first bytes, to go on with; None where it has fewer."""
    digest, position = xxhash.xxh3_128(), 0
    while position < length:
        piece = os.pread(file, min(_PIECE, length - position), position)
        if not piece:
            return None
        digest.update(piece)
        position += len(piece)
    return digest


def let_go(file: int, start: int, length: int) -> None:
    """Tell the system that these bytes (0: all behind `start`) are not read again soon.

    A build shall not push out of the page cache what others use.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)


def exchange(new: Path, old: Path) -> None:
    """Let two directories change places in one call.

    Raises StoppedError, naming --not-atomic, where the system or the file system cannot.
    """
    if sys.platform == "darwin":
        library = ctypes.CDLL(None, use_errno=True)
        failed = library.renamex_np(os.fsencode(new), os.fsencode(old), _RENAME_EXCHANGE)
    else:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "renameat2"):
            raise _cannot_exchange(old, errno.ENOSYS)
        paths = os.fsencode(new), os.fsencode(old)
        failed = library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
    if not failed:
        return
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        raise _cannot_exchange(old, number)
    raise OSError(number, os.strerror(number), str(old))


def _cannot_exchange(old: Path, number: int) -> StoppedError:
    return StoppedError(
        f"{shown(old)}: cannot be replaced in one step here ({os.strerror(number)}). Give "
        "--not-atomic to replace it in two, or name a directory that is not there yet"
    )


def sync_tree(root: Path, synced: set[Path]) -> None:
    """Make every file and folder below `root`, and itself, durable; `synced` files are already."""
    for folder, _, names in os.walk(root, onerror=_raise):
        for name in names:
            path = Path(folder, name)
            if path not in synced:
                _sync(path, os.O_RDONLY)
        sync_folder(Path(folder))


def keep_only(root: Path, kept: set[Path]) -> None:
    """Remove every other file below the folder, and folders that are empty then."""
    for folder, _, names in os.walk(root, topdown=False, onerror=_raise):
        for name in names:
            path = Path(folder, name)
            if path not in kept:
                path.unlink()
        if Path(folder) != root and not os.listdir(folder):
            os.rmdir(folder)


def _raise(error: OSError) -> None:
    raise error


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        # A file system that knows no sync of folders has nothing more to give; nothing has failed.
        if error.errno != errno.EINVAL:
            raise


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        with naming(path):
            os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "wb") as file, naming(temporary):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_folder(path.parent)
