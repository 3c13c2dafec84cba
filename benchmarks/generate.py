"""Writes the benchmark's input: synthetic files of the shape and size of the real sets.

Usage: python generate.py OUT [--scale 1.0] [--seed 1]

The same scale and seed give the same bytes (of the zips: with the same zlib). The counts
that a merge must find are printed and written to OUT/truth.json.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

from chats import (
    COMPACT,
    INDENTED,
    Plan,
    Values,
    long_rows,
    short_rows,
    write_conversations,
    write_rows,
)
from markup import BlockMaker, Boilerplate
from passages import Pages, Squad
from truth import FileTruth, total
from wording import Wording, json_texts, sentences

_ZIPS = 13
_MEMBERS_PER_ZIP = 3
_MEMBERS = _ZIPS * _MEMBERS_PER_ZIP
_BUFFER = 1 << 22


class Shape(NamedTuple):
    """How many of each thing the files hold; the defaults are the log's size."""

    conversations: tuple[int, int] = (42_950, 42_150)
    pairs: tuple[int, int] = (316_160, 310_277)
    broken: tuple[int, int] = (2_145, 2_105)
    copies: int = 1_880
    long_rows: int = 100_000
    short_rows: int = 49_620
    articles: int = 1_420
    paragraphs: int = 9_681
    questions: int = 60_407
    pages: int = 38_496
    page_questions: int = 83_486

    def scaled(self, scale: float) -> "Shape":
        """This shape with every count times `scale`, and enough to fill each file."""

        def times(count: int, least: int = 1) -> int:
            return max(least, round(count * scale))

        conversations = times(self.conversations[0]), times(self.conversations[1])
        articles = times(self.articles)
        paragraphs = times(self.paragraphs, articles)
        pages = times(self.pages, _MEMBERS)
        return Shape(
            conversations=conversations,
            pairs=(
                times(self.pairs[0], conversations[0]),
                times(self.pairs[1], conversations[1]),
            ),
            broken=(times(self.broken[0], 0), times(self.broken[1], 0)),
            copies=times(self.copies, 0),
            long_rows=times(self.long_rows),
            short_rows=times(self.short_rows),
            articles=articles,
            paragraphs=paragraphs,
            questions=times(self.questions, paragraphs),
            pages=pages,
            page_questions=times(self.page_questions, pages),
        )


def main() -> None:
    """Reads the command line, writes the files, prints their counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    truth = generate(arguments.out, scale=arguments.scale, seed=arguments.seed)
    sys.stdout.write(json.dumps(truth, indent=2) + "\n")


def generate(out: Path, *, scale: float = 1.0, seed: int = 1) -> dict[str, object]:
    """The counts of the files written under `out`, which are also in its truth.json."""
    shape = Shape().scaled(scale)
    wording = Wording(Random(f"{seed} words"))
    values = Values(Random(f"{seed} values"), wording)
    files = [
        *_conversations(out, Random(f"{seed} conversations"), values=values, shape=shape),
        *_rows(out, Random(f"{seed} rows"), values=values, shape=shape),
        _squad(out, Random(f"{seed} squad"), wording=wording, shape=shape),
        *_pages(out, Random(f"{seed} pages"), shape=shape),
    ]
    truth: dict[str, object] = {
        "seed": seed,
        "scale": scale,
        "total": total(files),
        "files": [file.counts() for file in files],
    }
    # Written last: a folder with truth.json is complete.
    (out / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    return truth


@contextmanager
def _file(out: Path, path: str) -> Iterator[BinaryIO]:
    """A buffered file to write, below `out`."""
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb", buffering=_BUFFER) as file:
        yield file


def _named(truth: FileTruth, out: Path, path: str) -> FileTruth:
    """`truth` with path and size filled in."""
    truth.path = path
    truth.file_bytes = (out / path).stat().st_size
    return truth


def _conversations(out: Path, rng: Random, *, values: Values, shape: Shape) -> list[FileTruth]:
    """Both files of conversations; pairs of the first come again in the second."""
    plans = [
        Plan(
            shape.conversations[number],
            shape.pairs[number],
            shape.broken[number],
            shape.copies,
        )
        for number in range(2)
    ]
    plans[1].made_copies = plans[0].made_copies
    truths = []
    names = ("kovicuna/ko_dataset.json", "kovicuna/ko_dataset_2.json")
    for number, name in enumerate(names):
        layout = INDENTED if number else COMPACT
        with _file(out, name) as file:
            truth = write_conversations(
                file, rng, values=values, plan=plans[number], layout=layout, copy=bool(number)
            )
        truths.append(_named(truth, out, name))
    return truths


def _rows(out: Path, rng: Random, *, values: Values, shape: Shape) -> list[FileTruth]:
    """Both files of rows."""
    long_name = "kovicuna/ko_alpaca_style_dataset.json"
    with _file(out, long_name) as file:
        long = write_rows(file, long_rows(rng, values, shape.long_rows))
    short_name = "alpaca/ko_alpaca_data.json"
    with _file(out, short_name) as file:
        short = write_rows(file, short_rows(rng, values, shape.short_rows))
    return [_named(long, out, long_name), _named(short, out, short_name)]


def _squad(out: Path, rng: Random, *, wording: Wording, shape: Shape) -> FileTruth:
    """The file of KorQuAD 1.0."""
    name = "korquad1/KorQuAD_v1.0_train.json"
    squad = Squad(rng, sentences(wording, 20_000), json_texts(sentences(wording, 8_000, "?")))
    with _file(out, name) as file:
        truth = squad.write(
            file,
            articles=shape.articles,
            paragraphs=shape.paragraphs,
            questions=shape.questions,
        )
    return _named(truth, out, name)


def _pages(out: Path, rng: Random, *, shape: Shape) -> list[FileTruth]:
    """The zips of KorQuAD 2.1; fewer different words make them deflate as real pages do."""
    wording = Wording(rng, vocabulary=4_500)
    maker = BlockMaker(rng, wording)
    boilerplate = Boilerplate(maker, rng, wording)
    pages = Pages(rng, maker.blocks(8_000), json_texts(sentences(wording, 8_000, "?")))
    asked = pages.questions_of(shape.pages, shape.page_questions)
    truths = []
    for number in range(_ZIPS):
        name = f"korquad2/korquad2.1_train_{number:02}.zip"
        truth = FileTruth()
        with _file(out, name) as file, zipfile.ZipFile(file, "w", compresslevel=6) as archive:
            for place in range(_MEMBERS_PER_ZIP):
                member = number * _MEMBERS_PER_ZIP + place
                share = list(islice(asked, _share(shape.pages, member)))
                with _member(archive, f"korquad2.1_train_{member:02}.json") as target:
                    pages.write(target, truth, boilerplate=boilerplate, asked=share)
        truths.append(_named(truth, out, name))
    return truths


def _share(pages: int, member: int) -> int:
    """How many of the pages are in member number `member`."""
    return (member + 1) * pages // _MEMBERS - member * pages // _MEMBERS


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[BinaryIO]:
    """A member to write, with a fixed date so that the bytes are always the same."""
    info = zipfile.ZipInfo(name, date_time=(2021, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    with archive.open(info, "w") as target:
        yield target  # type: ignore[misc]


if __name__ == "__main__":
    main()
