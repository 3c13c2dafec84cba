"""Law 1: every part is in exactly one place, and the books say which."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import dollymix
from tests.laws.builds import DOLLY_KEYS, Build, scratch
from tests.laws.strategies import PLAIN_ROWS, UNIT_BYTES, Case, cases, parts_of

LOST = ("filtered", "duplicate", "contaminated")


def built(case: Case, folder: Path, unit_bytes: int) -> Build:
    """The build of a case, in `folder/out`."""
    recipe = case.write(folder)
    dollymix.merge(recipe, folder / "out", workers=1, unit_bytes=unit_bytes, allow_empty=True)
    return Build(folder / "out")


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_the_books_balance_and_are_those_of_an_independent_recount(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
    totals = Counter()
    for source in case.sources:
        books = build.ledger["sources"][source.name]
        recount = _recount(build, source.name)
        assert {key: books[key] for key in recount} == recount
        members = source.members()
        assert books["files"] == len(members)
        assert books["files_refused"] == []
        assert books["records"] == sum(len(member.records) for member in members)
        texts = [text for member in members for text in member.records]
        assert books["parts"] == sum(parts_of(source.form, text) for text in texts)
        kinds = books["with_examples"] + books["only_rejected"] + books["empty"]
        assert books["records"] == kinds
        assert books["parts"] == books["parts_used"] + books["parts_rejected"]
        lost = sum(sum(books[outcome].values()) for outcome in LOST) + books["not_sampled"]
        assert books["examples"] + books["repeated"] == books["written"] + lost
        totals.update({key: value for key, value in books.items() if isinstance(value, int)})
    total = build.ledger["total"]
    assert {key: total[key] for key in totals} == totals
    assert list(build.ledger["sources"]) == [source.name for source in case.sources]


def _recount(build: Build, source: str) -> dict[str, object]:
    """What the files of a build hold of one source."""
    rejects = [row for row in build.rejects if row["source"] == source]
    dropped = [row for row in build.dropped if row["source"] == source]
    tables: dict[str, Counter[str]] = {outcome: Counter() for outcome in LOST}
    for row in dropped:
        filtered = row["outcome"] == "filtered"
        code = f"{row['step']}/{row['reason']}" if filtered else row["reason"]
        tables[row["outcome"]][code] += 1
    return {
        "written": sum(row["source"] == source for _, row in build.written()),
        "rejected": Counter(row["reason"] for row in rejects),
        "parts_rejected": sum(row["parts"] for row in rejects),
        **tables,
    }


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_every_record_is_written_rejected_dropped_or_an_empty_page(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
    rows = [row for _, row in build.written()] + build.rejects + build.dropped
    seen = {(row["source"], row["file"], row["record"]) for row in rows}
    made = {}
    for source in case.sources:
        for member in source.members():
            for number, text in enumerate(member.records):
                made[source.name, member.name, number] = source.form, text
    assert seen <= made.keys()
    silent = [made[place] for place in made.keys() - seen]
    assert all(form in ("squad", "korquad2") for form, _ in silent)
    assert all(parts_of(form, text) == 0 for form, text in silent)
    with_nothing = sum(books["empty"] for books in build.ledger["sources"].values())
    assert with_nothing == sum(parts_of(form, text) == 0 for form, text in made.values())


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_an_id_is_written_once_or_dropped_once_never_both(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
    ids = [row["id"] for _, row in build.written()] + [row["id"] for row in build.dropped]
    assert len(ids) == len(set(ids))
    for row in [*build.dropped, *(row for _, row in build.written())]:
        assert row["id"] == _identity(row, row["path"])
    for row in build.rejects:
        # The id is that of the part; the path goes on to the field that is wrong.
        assert _identity(row, row["path"]).startswith(row["id"])
        assert row["id"].startswith(_identity(row, ""))
    for line, _ in build.written():
        assert list(line) == DOLLY_KEYS
        assert all(isinstance(value, str) for value in line.values())
        assert line["instruction"].strip()
        assert line["response"].strip()


def _identity(row: dict, path: str) -> str:
    place = f"{row['source']}/{row['file']}#{row['record']}"
    return f"{place}.{path}" if path else place


@given(cases(PLAIN_ROWS), st.sampled_from(UNIT_BYTES))
def test_every_plain_row_is_in_exactly_one_place(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
    rows = [row for _, row in build.written()] + build.rejects + build.dropped
    found = Counter((row["source"], row["file"], row["record"]) for row in rows)
    made = Counter(
        (source.name, member.name, number)
        for source in case.sources
        for member in source.members()
        for number in range(len(member.records))
    )
    assert found == made
    texts = {
        (source.name, member.name): member for source in case.sources for member in source.members()
    }
    for row in build.rejects:
        member = texts[row["source"], row["file"]]
        assert row["text"].strip() == member.records[row["record"]].strip()


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_the_manifest_lists_every_file_with_its_rows(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
        there = {
            path.relative_to(build.folder).as_posix()
            for path in build.folder.rglob("*")
            if path.is_file()
        }
    listed = {entry["file"]: entry for entry in build.manifest["outputs"]}
    assert there == {*listed, "manifest.json", "build.log.jsonl"}
    rows = {shard: len(lines) for shard, lines in build.lines.items()}
    assert {f"dolly/{shard}.jsonl": count for shard, count in rows.items()} == {
        name: entry["rows"] for name, entry in listed.items() if name.startswith("dolly/")
    }
    assert all(rows.values())
    assert sum(build.manifest["splits"].values()) == sum(rows.values())
