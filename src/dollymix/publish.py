"""The last phase, and what makes it safe: the working place beside the output.

`.NAME.building/` holds a lock, a journal, the working files and the new directory. A *segment* is
durable once every file is synced and its length and digest stand in the journal; going on after a
crash cuts each file to that length, and takes it only where it still has that digest. To publish,
everything is synced, the new directory and the old one change places in one call, and the parent
directory is synced. What a failed sync was about is never synced again: the run fails, and the next
one writes it anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import xxhash

from dollymix.errors import BuildError, DollymixError, StoppedError, UsageError
from dollymix.manifest import read, sha256_of
from dollymix.text import printable

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
SYNC_BYTES = 64 << 20
# Files that are written at once: more shards than that are closed and opened again.
_OPEN_FILES = 64
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
            raise BuildError(f"{_show(self.path)}: is not what its journal says")
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
            raise BuildError(f"{_show(self.path)}: became shorter while it was written")
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


class Stage:
    """The working place of one build."""

    def __init__(self, target: Path) -> None:
        self.target = Path(os.path.realpath(target))
        self.root = self.target.parent / f".{self.target.name}.building"
        self.out = self.root / "out"
        self.work = self.root / "work"
        self._journal = self.root / "journal.json"
        self._old = self.root / "old"
        self._lock = -1
        self._files: dict[str, Appender] = {}
        self._unsynced: set[Path] = set()

    def open(self) -> None:
        """Take the lock. Raises BuildError where another build holds it."""
        try:
            make_folder(self.target.parent)
            while not self._take_lock():
                pass
            if self._old.exists() and not os.path.lexists(self.target):
                # Killed between the two steps of --not-atomic.
                os.rename(self._old, self.target)
                sync_folder(self.target.parent)
            self._make_folders()
            sync_folder(self.target.parent)
        except OSError as error:
            self.release()
            where = _show(error.filename or self.root.parent)
            raise BuildError(f"{where}: cannot be written: {error.strerror}") from error

    def _take_lock(self) -> bool:
        """False where the build that held the place has just removed it."""
        try:
            # Nobody else shall put a file, or a link, where the build writes.
            self.root.mkdir(mode=0o700)
        except FileExistsError:
            self._check_owner()
        try:
            self._lock = os.open(
                self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(self.root / "lock").st_ino == os.fstat(self._lock).st_ino:
                return True
        except BlockingIOError as error:
            self.release()
            raise BuildError(
                f"{_show(self.target)}: another build is writing it. Wait for its end, or stop it"
            ) from error
        except FileNotFoundError:
            pass
        self.release()
        return False

    def _check_owner(self) -> None:
        try:
            found = os.lstat(self.root)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise BuildError(
                f"{_show(self.root)}: is no folder of yours, so nothing is built in it. Remove it"
            )

    def _make_folders(self) -> None:
        self.out.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Begin anew: nothing of an earlier build is kept."""
        self._close_files()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._journal)
        for folder in (self._old, self.out, self.work):
            if folder.exists():
                shutil.rmtree(folder)
        self._make_folders()

    def file(self, name: str) -> Appender:
        """The file of that name below the root, made where it is not there."""
        file = self._files.pop(name, None)
        if file is None:
            if len(self._files) >= _OPEN_FILES:
                for other in list(self._files.values())[:-_OPEN_FILES]:
                    other.rest()
            file = Appender(self.root / name)
            self._unsynced.update(self._folders(name))
        # The one that was asked for last is the last to rest.
        self._files[name] = file
        return file

    def _folders(self, name: str) -> list[Path]:
        """The folders between the root and a file: their entries have to be synced, too."""
        return [self.root / parent for parent in Path(name).parents]

    def marks(self) -> dict[str, Mark]:
        """How far each file is."""
        return {name: self._files[name].mark() for name in sorted(self._files)}

    def restore(self, marks: dict[str, Any]) -> None:
        """Cut the files to these marks; others are removed.

        Raises BuildError where a file of an earlier run is not what its mark says.
        """
        for name in [name for name in self._files if name not in marks]:
            self._files.pop(name).close()
        for folder in (self.out, self.work):
            _keep_only(folder, {self.root / name for name in marks})
        self._unsynced = {folder for folder in self._unsynced if folder.is_dir()}
        for name, values in marks.items():
            mark = Mark(*values)
            if name in self._files:
                self._files[name].truncate(mark.length)
            else:
                self._files[name] = Appender(self.root / name, mark)

    def sync(self) -> None:
        """Make every file durable."""
        for file in self._files.values():
            file.sync()
        for folder in sorted(self._unsynced):
            sync_folder(folder)
        self._unsynced.clear()

    def journal(self) -> dict[str, Any] | None:
        """The last durable state, or None where there is none, or none that is whole."""
        try:
            data = msgspec.json.decode(self._journal.read_bytes(), type=_Journal)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if hashlib.sha256(data.state).hexdigest() != data.sha256:
            return None
        state = msgspec.json.decode(data.state)
        return state if isinstance(state, dict) else None

    def write_journal(self, state: dict[str, Any]) -> None:
        """Replace the durable state, in one step."""
        body = msgspec.json.encode(state)
        journal = _Journal(hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
        write_durably(self._journal, msgspec.json.encode(journal))

    def publish(self, plan: str, *, atomic: bool = True) -> None:
        """Put the new directory in the old one's place; `plan` is the digest of what it is of."""
        self.sync()
        synced = {file.path for file in self._files.values()}
        self._close_files(strict=True)
        sync_tree(self.out, synced)
        digest = sha256_of(self.out / "manifest.json")
        self.write_journal({"phase": "publishing", "build": plan, "manifest": digest})
        self._swap(atomic=atomic)

    def finish_publishing(self, plan: str, *, atomic: bool = True) -> bool:
        """After a crash while publishing: True where the build of that plan is in its place."""
        state = self.journal()
        if state is None or state.get("phase") != "publishing":
            return False
        expected = state.get("manifest")
        if _manifest_digest(self.target) == expected:
            sync_folder(self.target.parent)
            if state.get("build") == plan:
                return True
        elif state.get("build") == plan and _is_whole(self.out, expected):
            # All of it was synced before the journal said so.
            self._swap(atomic=atomic)
            return True
        self.clear()
        return False

    def _swap(self, *, atomic: bool) -> None:
        """The new directory into its place, and the parent synced; or all as it was."""
        if not os.path.lexists(self.target):
            os.rename(self.out, self.target)
        elif atomic:
            exchange(self.out, self.target)
        else:
            os.rename(self.target, self._old)
            try:
                os.rename(self.out, self.target)
            except OSError:
                os.rename(self._old, self.target)
                raise
        try:
            sync_folder(self.target.parent)
        except OSError:
            self._swap_back()
            raise

    def _swap_back(self) -> None:
        """The parent could not be synced: nothing was published."""
        try:
            if self.out.exists():
                exchange(self.out, self.target)
                return
            os.rename(self.target, self.out)
            if self._old.exists():
                os.rename(self._old, self.target)
        except (OSError, BuildError) as error:
            raise StoppedError(
                f"{_show(self.target)}: is the new build, but might not outlive a power cut: its "
                "folder cannot be synced. Give the same command again"
            ) from error

    def remove(self) -> None:
        """Remove the working place and let go of the lock; of nobody else's."""
        if self._lock < 0:
            return
        self._close_files()
        # The journal goes last: a run that is killed here must not be done again.
        for folder in (self.out, self._old, self.work):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let go of the lock; the working place stays for the next run."""
        self._close_files()
        # A signal may arrive while it is closed: what calls this then must not close it again.
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _close_files(self, *, strict: bool = False) -> None:
        """Close the files; where it is not `strict`, the run has failed or is done already."""
        files, self._files = list(self._files.values()), {}
        for file in files:
            with contextlib.suppress(*() if strict else (OSError,)):
                file.close()


class _Journal(msgspec.Struct):
    """The journal on disk: the state, and its digest."""

    sha256: str
    state: msgspec.Raw


def check_target(target: Path, *, force: bool) -> None:
    """Raise UsageError where the target must not be replaced."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise UsageError(f"{_show(target)}: is no directory")
    if force:
        return
    if os.geteuid() not in (0, os.stat(target).st_uid):
        raise UsageError(f"{_show(target)}: belongs to another user. Name another, or give --force")
    if any(target.iterdir()) and not _is_build(target):
        raise UsageError(
            f"{_show(target)}: is a directory but no build. Name another, or give --force"
        )


def _show(path: str | Path) -> str:
    return printable(os.fspath(path))


def _is_build(folder: Path) -> bool:
    try:
        found = msgspec.json.decode((folder / "manifest.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(found, dict) and {"schema", "dollymix", "outputs"} <= found.keys()


def _manifest_digest(folder: Path) -> str | None:
    try:
        return sha256_of(folder / "manifest.json")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_whole(folder: Path, manifest: Any) -> bool:
    """True where a finished build is, byte for byte, what it was when it was finished."""
    if _manifest_digest(folder) != manifest:
        return False
    try:
        outputs = read(folder).outputs
        return all(sha256_of(folder / output.file) == output.sha256 for output in outputs)
    except (DollymixError, OSError):
        return False


def _keep_only(root: Path, kept: set[Path]) -> None:
    """Remove every other file below the folder, and folders that are empty then."""
    for folder, _, names in os.walk(root, topdown=False, onerror=_raise):
        for name in names:
            path = Path(folder, name)
            if path not in kept:
                path.unlink()
        if Path(folder) != root and not os.listdir(folder):
            os.rmdir(folder)


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
        f"{_show(old)}: cannot be replaced in one step here ({os.strerror(number)}). Give "
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
