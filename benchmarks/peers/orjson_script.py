"""The merge as a script around orjson.

Usage: python orjson_script.py INPUT_DIR OUTPUT.jsonl
"""

import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson  # type: ignore[import-not-found, unused-ignore]

Row = tuple[str, str, str]


def main(source: Path, output: Path) -> None:
    """Writes every record of the input, source by source."""
    with output.open("wb") as out:
        for instruction, context, response in rows(source):
            record = {
                "instruction": instruction,
                "context": context,
                "response": response,
                "category": "open_qa",
            }
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def rows(source: Path) -> Iterator[Row]:
    """Instruction, context and response of every record."""
    for name in ("ko_dataset.json", "ko_dataset_2.json"):
        yield from sharegpt(load(source / "kovicuna" / name))
    yield from alpaca(load(source / "kovicuna" / "ko_alpaca_style_dataset.json"))
    yield from alpaca(load(source / "alpaca" / "ko_alpaca_data.json"))
    yield from korquad1(load(source / "korquad1" / "KorQuAD_v1.0_train.json"))
    for path in sorted(source.glob("korquad2/*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                yield from korquad2(orjson.loads(archive.read(name)))


def load(path: Path) -> Any:
    """The whole file, decoded."""
    return orjson.loads(path.read_bytes())


def sharegpt(conversations: Any) -> Iterator[Row]:
    """Each gpt turn directly after a human turn, where neither is blank."""
    for conversation in conversations:
        turns = conversation["conversations"]
        for asked, answered in pairwise(turns):
            roles = asked["from"], answered["from"]
            texts = asked["value"], answered["value"]
            if roles == ("human", "gpt") and texts[0].strip() and texts[1].strip():
                yield texts[0], "", texts[1]


def alpaca(records: Any) -> Iterator[Row]:
    """Each row."""
    for record in records:
        yield record["instruction"], record["input"], record["output"]


def korquad1(document: Any) -> Iterator[Row]:
    """Each question on a paragraph, with its first answer."""
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answer = question["answers"][0]["text"]
                yield question["question"], paragraph["context"], answer


def korquad2(document: Any) -> Iterator[Row]:
    """Each question on a page."""
    for page in document["data"]:
        for question in page["qas"]:
            yield question["question"], page["context"], question["answer"]["text"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
