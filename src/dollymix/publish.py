"""The last phase, and what makes it safe: the working place beside the output.

`.NAME.building/` holds a lock, a journal, the working files and the new directory. A *segment* is
durable once every file is synced and its length stands in the journal; going on after a crash cuts
each file to that length. To publish, everything is synced, the new directory and the old one change
places in one call, and the parent directory is synced.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from dollymix.errors import BuildError, UsageError
from dollymix.manifest import sha256_of

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
SYNC_BYTES = 64 << 20


class Appender:
    """A file that is only written at its end."""

    def __init__(self, path: Path, length: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self.path = path
        self.length = length
        self._file = os.open(path, flags, 0o644)
        self._synced = length
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)

    def write(self, data: Any) -> None:
        """Write all of the data."""
        view = memoryview(data)
        while len(view):
            count = os.write(self._file, view)
            view = view[count:]
            self.length += count
        if self.length - self._synced >= SYNC_BYTES:
            self.sync()

    def truncate(self, length: int) -> None:
        """Take back what was written behind `length`."""
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)
        self.length = length
        self._synced = -1

    def sync(self) -> None:
        """Make what was written durable, and give its pages back."""
        if self._synced == self.length:
            return
        os.fsync(self._file)
        let_go(self._file, max(self._synced, 0), 0)
        self._synced = self.length

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def let_go(file: int, start: int, length: int) -> None:
    """Tell the system that these bytes (0: all behind `start`) are not read again soon.

    A build shall not push out of the page cache what others use.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)


class Stage:
    """The working place of one build."""

    def __init__(self, target: Path) -> None:
        self.target = Path(os.path.realpath(target))
        self.root = self.target.parent / f".{self.target.name}.building"
        self.out = self.root / "out"
        self.work = self.root / "work"
        self._lock = -1
        self._files: dict[str, Appender] = {}

    def open(self) -> None:
        """Take the lock. Raises BuildError where another build holds it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BuildError(f"{self.root.parent}: cannot be written: {error.strerror}") from error
        while True:
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._lock)
                raise BuildError(
                    f"{self.target}: another build is writing it. Wait for its end, or stop it"
                ) from error
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.root / "lock").st_ino == os.fstat(self._lock).st_ino:
                    break
            # The build that held it has just removed the place: make it anew.
            os.close(self._lock)
            self.root.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Begin anew: nothing of an earlier build is kept."""
        self._close_files()
        for folder in (self.out, self.work):
            shutil.rmtree(folder)
            folder.mkdir()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.root / "journal.json")

    def file(self, name: str) -> Appender:
        """The file of that name below the root, made where it is not there."""
        if name not in self._files:
            self._files[name] = Appender(self.root / name)
        return self._files[name]

    def lengths(self) -> dict[str, int]:
        """How long each file is."""
        return {name: file.length for name, file in self._files.items()}

    def restore(self, lengths: dict[str, int]) -> None:
        """Cut the files to these lengths; others are removed."""
        for name in [name for name in self._files if name not in lengths]:
            self._files.pop(name).close()
            os.unlink(self.root / name)
        for name, length in lengths.items():
            if name in self._files:
                self._files[name].truncate(length)
                continue
            if (self.root / name).stat().st_size < length:
                raise BuildError(f"{self.root / name}: is shorter than its journal says")
            self._files[name] = Appender(self.root / name, length)

    def sync(self) -> None:
        """Make every file durable."""
        for file in self._files.values():
            file.sync()

    def journal(self) -> dict[str, Any] | None:
        """The last durable state, or None."""
        try:
            data = msgspec.json.decode((self.root / "journal.json").read_bytes())
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return data if isinstance(data, dict) else None

    def write_journal(self, state: dict[str, Any]) -> None:
        """Replace the durable state, in one step."""
        write_durably(self.root / "journal.json", msgspec.json.encode(state))

    def publish(self, *, atomic: bool = True) -> None:
        """Put the new directory in the old one's place."""
        self._close_files()
        sync_tree(self.out)
        state = {"phase": "publishing", "manifest": sha256_of(self.out / "manifest.json")}
        self.write_journal(state)
        if not self.target.exists():
            os.rename(self.out, self.target)
        elif atomic:
            exchange(self.out, self.target)
        else:
            old = self.root / "old"
            os.rename(self.target, old)
            os.rename(self.out, self.target)
        sync_folder(self.target.parent)
        self.remove()

    def finish_publishing(self, *, atomic: bool) -> bool:
        """After a crash while publishing: True where the build is in its place now."""
        state = self.journal()
        if state is None or state.get("phase") != "publishing":
            return False
        expected = state.get("manifest")
        if not isinstance(expected, str):
            return False
        digests = {}
        for folder in (self.target, self.out):
            with contextlib.suppress(OSError):
                digests[folder] = sha256_of(folder / "manifest.json")
        if digests.get(self.target) == expected:
            sync_folder(self.target.parent)
            self.remove()
            return True
        if digests.get(self.out) == expected:
            self.publish(atomic=atomic)
            return True
        return False

    def remove(self) -> None:
        """Remove the working place and let go of the lock."""
        self._close_files()
        shutil.rmtree(self.root, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let go of the lock; the working place stays for the next run."""
        self._close_files()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


def check_target(target: Path, *, force: bool) -> None:
    """Raise UsageError where the target must not be replaced."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise UsageError(f"{target}: is no directory")
    if force or not any(target.iterdir()) or _is_build(target):
        return
    raise UsageError(f"{target}: is a directory but no build. Name another, or give --force")


def _is_build(folder: Path) -> bool:
    try:
        found = msgspec.json.decode((folder / "manifest.json").read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(found, dict) and {"schema", "dollymix", "outputs"} <= found.keys()


def exchange(new: Path, old: Path) -> None:
    """Let two directories change places in one call.

    Raises BuildError, naming --not-atomic, where the system or the file system cannot.
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
    if failed:
        raise _cannot_exchange(old, ctypes.get_errno())


def _cannot_exchange(old: Path, number: int) -> BuildError:
    return BuildError(
        f"{old}: cannot be replaced in one step here ({os.strerror(number)}). Give --not-atomic to "
        "replace it in two, or name a directory that is not there yet"
    )


def sync_tree(root: Path) -> None:
    """Make every file and folder below `root`, and itself, durable."""
    for folder, _, names in os.walk(root):
        for name in names:
            file = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        sync_folder(Path(folder))


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_folder(path.parent)
