"""The merge with DuckDB: a query for each file, the results joined.

DuckDB reads no zips, so they are unpacked first. One query for all files is shorter, but
needs several times the memory, since the order of the rows must be kept.

Usage: python duckdb_script.py INPUT_DIR OUTPUT.jsonl [THREADS]
"""

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb  # type: ignore[import-not-found, unused-ignore]

_SHAREGPT = """
SELECT turns[place].value AS instruction, '' AS context, turns[place + 1].value AS response
FROM (
    SELECT conversations AS turns, unnest(range(1, len(conversations))) AS place
    FROM read_json('{path}', format = 'array',
        columns = {{conversations: 'STRUCT("from" VARCHAR, "value" VARCHAR)[]'}})
)
WHERE turns[place]."from" = 'human' AND turns[place + 1]."from" = 'gpt'
    AND regexp_matches(turns[place].value, '\\S')
    AND regexp_matches(turns[place + 1].value, '\\S')
"""

_ALPACA = """
SELECT instruction, input AS context, output AS response
FROM read_json('{path}', format = 'array',
    columns = {{instruction: 'VARCHAR', input: 'VARCHAR', output: 'VARCHAR'}})
"""

_KORQUAD1 = """
SELECT qa.question AS instruction, context, qa.answers[1].text AS response
FROM (
    SELECT paragraph.context AS context, unnest(paragraph.qas) AS qa
    FROM (
        SELECT unnest(article.paragraphs) AS paragraph
        FROM (
            SELECT unnest(data) AS article
            FROM read_json('{path}', maximum_object_size = {limit}, columns = {{data:
                'STRUCT(paragraphs STRUCT(context VARCHAR, qas STRUCT(question VARCHAR,
                answers STRUCT(text VARCHAR)[])[])[])[]'}})
        )
    )
)
"""

_KORQUAD2 = """
SELECT qa.question AS instruction, context, qa.answer.text AS response
FROM (
    SELECT page.context AS context, unnest(page.qas) AS qa
    FROM (
        SELECT unnest(data) AS page
        FROM read_json('{path}', maximum_object_size = {limit}, columns = {{data:
            'STRUCT(context VARCHAR, qas STRUCT(question VARCHAR,
            answer STRUCT(text VARCHAR))[])[]'}})
    )
)
"""


def main(source: Path, output: Path, threads: int | None) -> None:
    """Writes every record of the input, file by file."""
    connection = duckdb.connect()
    if threads:
        connection.execute(f"SET threads = {threads}")
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        part = Path(scratch) / "part.jsonl"
        with output.open("wb") as out:
            for query in selects(source, Path(scratch)):
                connection.execute(
                    f"COPY (SELECT *, 'open_qa' AS category FROM ({query})) "
                    f"TO '{part}' (FORMAT json)"
                )
                with part.open("rb") as written:
                    shutil.copyfileobj(written, out, 1 << 20)


def selects(source: Path, scratch: Path) -> list[str]:
    """One query for each file, in the order of the merged set."""
    kovicuna, alpaca = source / "kovicuna", source / "alpaca"
    return [
        select(_SHAREGPT, kovicuna / "ko_dataset.json"),
        select(_SHAREGPT, kovicuna / "ko_dataset_2.json"),
        select(_ALPACA, kovicuna / "ko_alpaca_style_dataset.json"),
        select(_ALPACA, alpaca / "ko_alpaca_data.json"),
        select(_KORQUAD1, source / "korquad1" / "KorQuAD_v1.0_train.json"),
        *[select(_KORQUAD2, path) for path in unpacked(source / "korquad2", scratch)],
    ]


def select(query: str, path: Path) -> str:
    """`query` on one file; a KorQuAD file is one object, so the limit is the file."""
    limit = max(path.stat().st_size + 1, 1 << 24)
    return query.format(path=str(path).replace("'", "''"), limit=limit)


def unpacked(folder: Path, scratch: Path) -> list[Path]:
    """The members of the zips in `folder`, as files in `scratch`, in their order."""
    paths: list[Path] = []
    for number, path in enumerate(sorted(folder.glob("*.zip"))):
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            paths += [Path(archive.extract(name, scratch / str(number))) for name in names]
    return paths


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(sys.argv[3]) if len(sys.argv) > 3 else None,
    )
