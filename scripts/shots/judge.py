"""Which build stands in a folder, and whether it is whole. Imports nothing of Dollymix.

The harnesses ask `checkset` two questions, `state(folder)` and `orphans(folder)`; `Judge` answers.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

LOG = "build.log.jsonl"
# What a build does not list of itself.
UNLISTED = {"manifest.json", LOG}

_OURS = re.compile(r'dollymix/cli/__init__\.py", line \d+, in main')


def files_of(folder: Path) -> list[str]:
    """Every file below a folder, by its path there."""
    return sorted(
        os.path.relpath(os.path.join(root, name), folder)
        for root, _, names in os.walk(folder)
        for name in names
    )


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_of(folder: Path) -> str:
    """The digest of a build's names and bytes, without its log."""
    digest = hashlib.sha256()
    for name in files_of(folder):
        if name != LOG:
            digest.update(f"{name}\0{sha256_of(folder / name)}\n".encode())
    return digest.hexdigest()


def fault_of(folder: Path) -> str:
    """What is wrong with the build in a folder, or nothing: digests in its manifest against its
    files."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except ValueError as error:
        return f"manifest.json is broken: {error}"
    listed = {entry["file"]: entry for entry in manifest["outputs"]}
    found = set(files_of(folder)) - UNLISTED
    if found != listed.keys():
        return f"other files than listed: {sorted(found ^ listed.keys())}"
    for name, entry in listed.items():
        path = folder / name
        if path.stat().st_size != entry["bytes"]:
            return f"{name}: {path.stat().st_size} bytes, not {entry['bytes']}"
        if sha256_of(path) != entry["sha256"]:
            return f"{name}: other bytes"
    return ""


class Judge:
    """Says which generation stands in a folder.

    A generation's number is the `seed` of its recipe. `references` holds the digest of
    `manifest.json` of uninterrupted builds, and so of everything in them. `verify` is the product's
    own opinion: its faults. `extra` says what else is wrong with a state, such as its rerun.
    """

    def __init__(
        self,
        references: dict[str, str],
        verify: Callable[[Path], list[str]],
        below: str = "",
        extra: Callable[[Path], str] | None = None,
    ) -> None:
        self._references = references
        self._verify = verify
        self._below = below
        self._extra = extra

    def state(self, out: str) -> str:
        """The generation, `none`, or `broken: ...`."""
        folder = Path(out, self._below) if self._below else Path(out)
        found = self._standing(folder)
        wrong = self._extra(folder) if self._extra and not found.startswith("broken") else ""
        return f"broken: {wrong}" if wrong else found

    def _standing(self, folder: Path) -> str:
        if not (folder / "manifest.json").exists():
            return (
                "broken: no manifest.json" if folder.exists() and any(folder.iterdir()) else "none"
            )
        wrong = fault_of(folder)
        if wrong:
            return f"broken: {wrong}"
        complaints = self._verify(folder)
        if complaints:
            return f"broken: verify says {complaints[0]}"
        generation = str(json.loads((folder / "manifest.json").read_bytes())["recipe"]["seed"])
        expected = self._references.get(generation)
        if expected and sha256_of(folder / "manifest.json") != expected:
            return f"broken: not the bytes of an uninterrupted build of {generation}"
        return generation

    def orphans(self, out: str) -> list[str]:
        """What stands beside a build, or in the folder for temporary files."""
        folder = Path(out)
        own = {folder.name, f"{folder.name}.strace", "lost+found"}
        return sorted(set(os.listdir(folder.parent)) - own) + temporary_files()


def is_early(said: str) -> bool:
    """True where the interpreter failed before it came to our code."""
    return ("Traceback" in said or "Fatal Python error" in said) and not _OURS.search(said)


def temporary_files() -> list[str]:
    """What a build left in the folder for temporary files."""
    folder = os.environ.get("TMPDIR")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)) if folder else []
