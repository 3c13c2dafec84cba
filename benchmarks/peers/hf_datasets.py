"""The merge with Hugging Face datasets: load, map, concatenate, to_json.

Usage: python hf_datasets.py INPUT_DIR OUTPUT.jsonl
"""

import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

Columns = dict[str, list[Any]]


def main(source: Path, output: Path) -> None:
    """Writes every record of the input, with the library's cache in a temporary folder."""
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        # Read when the library is imported.
        os.environ["HF_HOME"] = scratch
        os.environ["HF_HUB_OFFLINE"] = "1"
        merge(source, output)


def merge(source: Path, output: Path) -> None:
    """Loads each source, maps it to the four columns, writes the whole."""
    # The library has no type stubs, and is not installed where types are checked.
    from datasets import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        Dataset,
        concatenate_datasets,
        load_dataset,
    )

    def load(paths: list[Path], field: str | None = None) -> Dataset:
        files = [str(path) for path in paths]
        return load_dataset("json", data_files=files, field=field, split="train")

    def mapped(data: Dataset, convert: Any) -> Dataset:
        return data.map(convert, batched=True, remove_columns=data.column_names)

    kovicuna = source / "kovicuna"
    talks = load([kovicuna / "ko_dataset.json", kovicuna / "ko_dataset_2.json"])
    parts = [
        mapped(talks, sharegpt),
        mapped(load([kovicuna / "ko_alpaca_style_dataset.json"]), alpaca),
        mapped(load([source / "alpaca" / "ko_alpaca_data.json"]), alpaca),
        mapped(load([source / "korquad1" / "KorQuAD_v1.0_train.json"], "data"), korquad1),
        mapped(load(sorted(source.glob("korquad2/*.zip")), "data"), korquad2),
    ]
    concatenate_datasets(parts).to_json(output, force_ascii=False)


def columns(rows: list[tuple[str, str, str]]) -> Columns:
    """The four Dolly columns of `rows`."""
    return {
        "instruction": [row[0] for row in rows],
        "context": [row[1] for row in rows],
        "response": [row[2] for row in rows],
        "category": ["open_qa"] * len(rows),
    }


def sharegpt(batch: Columns) -> Columns:
    """Each gpt turn directly after a human turn, where neither is blank."""
    rows = []
    for turns in batch["conversations"]:
        for asked, answered in pairwise(turns):
            roles = asked["from"], answered["from"]
            texts = asked["value"], answered["value"]
            if roles == ("human", "gpt") and texts[0].strip() and texts[1].strip():
                rows.append((texts[0], "", texts[1]))
    return columns(rows)


def alpaca(batch: Columns) -> Columns:
    """Each row."""
    rows = zip(batch["instruction"], batch["input"], batch["output"], strict=True)
    return columns(list(rows))


def korquad1(batch: Columns) -> Columns:
    """Each question on a paragraph, with its first answer."""
    rows = []
    for paragraphs in batch["paragraphs"]:
        for paragraph in paragraphs:
            for question in paragraph["qas"]:
                answer = question["answers"][0]["text"]
                rows.append((question["question"], paragraph["context"], answer))
    return columns(rows)


def korquad2(batch: Columns) -> Columns:
    """Each question on a page."""
    rows: list[tuple[str, str, str]] = []
    for context, questions in zip(batch["context"], batch["qas"], strict=True):
        rows += [(qa["question"], context, qa["answer"]["text"]) for qa in questions]
    return columns(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
