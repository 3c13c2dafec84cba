"""A finished build read back without any code of the product."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

try:
    from compression import zstd
except ImportError:
    from backports import zstd

LOG = "build.log.jsonl"
DOLLY_KEYS = ["instruction", "context", "response", "category"]


# Builds sync what they write; a file system in memory makes hundreds of small ones cheap.
_MEMORY = "/dev/shm"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a test, in memory where that is possible."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dollymix-", dir=place) as folder:
        yield Path(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a build but its log, by its name below the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOG
    }


def digests(folder: Path) -> dict[str, str]:
    """The same, each as a digest: short where two builds are compared and differ."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents(folder).items()}


def json_lines(data: bytes) -> list[Any]:
    """The values of JSON Lines, each line ended by LF."""
    assert not data or data.endswith(b"\n")
    return [json.loads(line) for line in data.decode().split("\n")[:-1]]


class Build:
    """What a build holds, read slowly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = json.loads((folder / "ledger.json").read_bytes())
        self.manifest = json.loads((folder / "manifest.json").read_bytes())
        self.rejects = json_lines((folder / "rejects.jsonl").read_bytes())
        packed = (folder / "dropped.jsonl.zst").read_bytes()
        self.dropped = json_lines(zstd.decompress(packed)) if packed else []
        self.lines = self._shards("dolly", ".jsonl")
        self.lineage = self._shards("lineage", ".parquet")

    def _shards(self, form: str, ending: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(self.folder.glob(f"{form}/*/*{ending}")):
            if ending == ".jsonl":
                rows = json_lines(path.read_bytes())
            else:
                rows = pq.read_table(path).to_pylist()
            found[f"{path.parent.name}/{path.stem}"] = rows
        return found

    def written(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Each line with its row of lineage, over all splits and shards."""
        assert self.lines.keys() == self.lineage.keys()
        return [
            pair
            for shard, lines in self.lines.items()
            for pair in zip(lines, self.lineage[shard], strict=True)
        ]


def write_recipe(folder: Path, recipe: dict[str, Any], name: str = "recipe.yaml") -> Path:
    """A recipe in a file. JSON is YAML."""
    path = folder / name
    path.write_text(json.dumps({"version": 1, **recipe}, ensure_ascii=False), encoding="utf-8")
    return path


def write_rows(path: Path, count: int, *, first: int = 0, size: int = 10) -> Path:
    """Alpaca rows, all different, as JSON Lines."""
    with open(path, "w", encoding="utf-8") as file:
        for number in range(first, first + count):
            row = {"instruction": f"{number} 질문 " + "가" * size, "output": f"{number} answer"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def leftovers(target: Path) -> list[str]:
    """What stands beside a build that a build may have left there."""
    return [name for name in os.listdir(target.parent) if name.startswith(".")]


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, run to its end."""
    command = [sys.executable, "-m", "dollymix", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
