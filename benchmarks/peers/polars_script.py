"""The merge with polars: each file a data frame, all cores.

Usage: python polars_script.py INPUT_DIR OUTPUT.jsonl
"""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl  # type: ignore[import-not-found, unused-ignore]

# Named, so that `raw_html`, the larger part of a page, is not made into a column.
_PAGES = {
    "data": pl.List(
        pl.Struct(
            {
                "context": pl.String,
                "qas": pl.List(
                    pl.Struct({"question": pl.String, "answer": pl.Struct({"text": pl.String})})
                ),
            }
        )
    )
}


def main(source: Path, output: Path) -> None:
    """Writes every record of the input, frame by frame."""
    with output.open("wb") as out:
        for frame in frames(source):
            frame.with_columns(category=pl.lit("open_qa")).write_ndjson(out)


def frames(source: Path) -> Iterator[pl.DataFrame]:
    """One frame of instruction, context and response for each file."""
    for name in ("ko_dataset.json", "ko_dataset_2.json"):
        yield sharegpt(pl.read_json(source / "kovicuna" / name))
    yield alpaca(pl.read_json(source / "kovicuna" / "ko_alpaca_style_dataset.json"))
    yield alpaca(pl.read_json(source / "alpaca" / "ko_alpaca_data.json"))
    yield korquad1(pl.read_json(source / "korquad1" / "KorQuAD_v1.0_train.json"))
    for path in sorted(source.glob("korquad2/*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                yield korquad2(pl.read_json(archive.read(name), schema=_PAGES))


def sharegpt(conversations: pl.DataFrame) -> pl.DataFrame:
    """Each gpt turn directly after a human turn, where neither is blank."""
    turns = (
        conversations.select("conversations")
        .with_row_index("conversation")
        .explode("conversations")
        .unnest("conversations")
    )
    following = turns.select(pl.all().shift(-1).name.prefix("next_"))
    pairs = pl.concat([turns, following], how="horizontal").filter(
        pl.col("conversation") == pl.col("next_conversation"),
        pl.col("from") == "human",
        pl.col("next_from") == "gpt",
        pl.col("value").str.strip_chars() != "",
        pl.col("next_value").str.strip_chars() != "",
    )
    return pairs.select(instruction="value", context=pl.lit(""), response="next_value")


def alpaca(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row."""
    return rows.select(instruction="instruction", context="input", response="output")


def korquad1(document: pl.DataFrame) -> pl.DataFrame:
    """Each question on a paragraph, with its first answer."""
    paragraphs = (
        document.select("data")
        .explode("data")
        .unnest("data")
        .select("paragraphs")
        .explode("paragraphs")
        .unnest("paragraphs")
    )
    return (
        paragraphs.explode("qas")
        .unnest("qas")
        .select(
            instruction="question",
            context="context",
            response=pl.col("answers").list.first().struct.field("text"),
        )
    )


def korquad2(document: pl.DataFrame) -> pl.DataFrame:
    """Each question on a page."""
    pages = document.select("data").explode("data").unnest("data")
    return (
        pages.select("context", "qas")
        .explode("qas")
        .unnest("qas")
        .select(
            instruction="question",
            context="context",
            response=pl.col("answer").struct.field("text"),
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
