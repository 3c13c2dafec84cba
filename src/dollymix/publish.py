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
import fcntl
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import msgspec

from dollymix import durable
from dollymix.durable import Appender, Mark, shown
from dollymix.errors import BuildError, DollymixError, StoppedError, UsageError
from dollymix.manifest import read, sha256_of

# Files that are written at once: more shards than that are closed and opened again.
_OPEN_FILES = 64


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
            durable.make_folder(self.target.parent)
            while not self._take_lock():
                pass
            if self._old.exists() and not os.path.lexists(self.target):
                # Killed between the two steps of --not-atomic.
                os.rename(self._old, self.target)
                durable.sync_folder(self.target.parent)
            self._make_folders()
            durable.sync_folder(self.target.parent)
        except OSError as error:
            self.release()
            where = shown(error.filename or self.root.parent)
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
                f"{shown(self.target)}: another build is writing it. Wait for its end, or stop it"
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
                f"{shown(self.root)}: is no folder of yours, so nothing is built in it. Remove it"
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
            durable.keep_only(folder, {self.root / name for name in marks})
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
            durable.sync_folder(folder)
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
        durable.write_durably(self._journal, msgspec.json.encode(journal))

    def publish(self, plan: str, *, atomic: bool = True) -> None:
        """Put the new directory in the old one's place; `plan` is the digest of what it is of."""
        self.sync()
        synced = {file.path for file in self._files.values()}
        self._close_files(strict=True)
        durable.sync_tree(self.out, synced)
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
            durable.sync_folder(self.target.parent)
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
            durable.exchange(self.out, self.target)
        else:
            os.rename(self.target, self._old)
            try:
                os.rename(self.out, self.target)
            except OSError:
                os.rename(self._old, self.target)
                raise
        try:
            durable.sync_folder(self.target.parent)
        except OSError:
            self._swap_back()
            raise

    def _swap_back(self) -> None:
        """The parent could not be synced: nothing was published."""
        try:
            if self.out.exists():
                durable.exchange(self.out, self.target)
                return
            os.rename(self.target, self.out)
            if self._old.exists():
                os.rename(self._old, self.target)
        except (OSError, BuildError) as error:
            raise StoppedError(
                f"{shown(self.target)}: is the new build, but might not outlive a power cut: its "
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
        raise UsageError(f"{shown(target)}: is no directory")
    if force:
        return
    if os.geteuid() not in (0, os.stat(target).st_uid):
        raise UsageError(f"{shown(target)}: belongs to another user. Name another, or give --force")
    if any(target.iterdir()) and not _is_build(target):
        raise UsageError(
            f"{shown(target)}: is a directory but no build. Name another, or give --force"
        )


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
