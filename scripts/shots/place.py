"""A folder with inputs that make a build go through all of its phases, and recipes for them.

Generation 1 is the small old set, every other number a larger one with one file of its own.
"""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from shots.judge import sha256_of

LAUNCH = Path(__file__).with_name("launch.py")
PIPELINES = ("direct", "decided", "everything")
_WORDS = (
    "가을",
    "나무",
    "다리",
    "라면",
    "마음",
    "바다",
    "사람",
    "아침",
    "자리",
    "edge",
    "of",
    "the",
)


class Place(NamedTuple):
    """Where inputs, recipes and reference builds are. `records`: how many of each kind."""

    root: Path
    pipeline: str = "everything"
    workers: int = 1
    records: int = 40
    unit: int = 1024
    segment: int = 6144

    def command(self, generation: int, out: str, *more: str) -> list[str]:
        """The merge of a generation into a folder."""
        head = [sys.executable, str(LAUNCH), str(self.unit), str(self.segment)]
        recipe = str(self.recipe(generation))
        return [*head, "merge", recipe, "-o", out, "--workers", str(self.workers), "--quiet", *more]

    def recipe(self, generation: int) -> Path:
        """The recipe of a generation, written where it is not there yet."""
        path = self.root / "inputs" / f"{self.pipeline}-{generation}.yaml"
        if not path.exists():
            self._write_inputs(generation)
            path.write_text(json.dumps(self._recipe(generation), ensure_ascii=False))
        return path

    def _recipe(self, generation: int) -> dict[str, Any]:
        own = {"name": "own", "files": [f"own-{generation}.jsonl"]}
        if generation == 1:
            return {"version": 1, "seed": 1, "sources": [own], "steps": ["exact_duplicates"]}
        sources = [
            {"name": "rows", "files": ["rows.json"]},
            {"name": "chats", "files": ["chats.jsonl.gz"]},
            own,
        ]
        recipe: dict[str, Any] = {"version": 1, "seed": generation, "sources": sources}
        recipe["outputs"] = [{"view": "dolly", "format": f} for f in ("jsonl", "parquet")]
        if self.pipeline == "direct":
            return recipe
        recipe["steps"] = ["required_text", "exact_duplicates"]
        recipe["splits"] = {"train": 0.8, "validation": 0.2}
        if self.pipeline == "everything":
            recipe["shuffle"] = True
            recipe["on_bad_file"] = "skip"
            # Taken while it is read, and then taken back: its array does not end.
            sources.insert(1, {"name": "broken", "files": ["broken.json"]})
            recipe["outputs"].append({"view": "alpaca", "format": "jsonl"})
        return recipe

    def _write_inputs(self, generation: int) -> None:
        folder = self.root / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        chance = random.Random(1)
        rows = [_row(chance, number) for number in range(self.records)]
        whole = json.dumps(rows, ensure_ascii=False, indent=1)
        _write(folder / "rows.json", whole.encode())
        _write(folder / "broken.json", whole[: len(whole) * 3 // 4].encode())
        chats = "".join(_line(_chat(chance, number)) for number in range(self.records))
        _write(folder / "chats.jsonl.gz", gzip.compress(chats.encode(), mtime=0))
        own = [_row(chance, number, f"{generation}: ") for number in range(self.records)]
        lines = [_line(row) for row in [*own, *rows[::4], {"instruction": "no answer"}]]
        lines.insert(2, "no json\n")
        _write(folder / f"own-{generation}.jsonl", "".join(lines).encode())

    def reference(self, generation: int) -> Path:
        """An uninterrupted build of a generation, made where it is not there yet."""
        folder = self.root / f"reference-{self.pipeline}-{generation}" / "o"
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                self.command(generation, str(folder)), check=True, stdout=subprocess.DEVNULL
            )
        return folder

    def references(self, *generations: int) -> dict[str, str]:
        """What a judge must know of uninterrupted builds."""
        return {str(g): sha256_of(self.reference(g) / "manifest.json") for g in generations}

    def restore(self, out: str) -> None:
        """The old set in its place, and nothing beside it."""
        remove(out)
        shutil.copytree(self.reference(1), out)


def remove(out: str) -> None:
    """Remove a build and what may stand beside it."""
    folder = Path(out)
    for path in (folder, working_place(folder)):
        shutil.rmtree(path, ignore_errors=True)


def working_place(folder: Path) -> Path:
    """Where a build into the folder works."""
    return folder.with_name(f".{folder.name}.building")


def _write(path: Path, data: bytes) -> None:
    # An input that is there stays as it is: its time is part of what a rerun goes by.
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_bytes(data)
        temporary.rename(path)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _text(chance: random.Random, count: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(count))


def _row(chance: random.Random, number: int, prefix: str = "") -> dict[str, Any]:
    # Every eighth row says what an earlier one says, every eleventh has no answer; one that shows
    # nothing is taken out by a step.
    name = number - 1 if number % 8 == 7 else number
    answer = "" if number % 11 == 10 else _text(chance, 12)
    if number % 8 == 7:
        answer = "the same"
    if number % 11 == 5:
        answer = "\u200b"
    return {
        "instruction": f"{prefix}{name} 질문",
        "input": _text(chance, 6) if number % 3 == 0 and number % 8 < 6 else "",
        "output": "the same" if number % 8 == 6 else answer,
    }


def _chat(chance: random.Random, number: int) -> dict[str, Any]:
    turns = [
        {
            "from": "human" if turn % 2 == 0 else "gpt",
            "value": f"{number}.{turn} {_text(chance, 8)}",
        }
        for turn in range(4 + number % 3)
    ]
    return {"id": f"c{number}", "conversations": turns}
