"""Law 1: every part is in exactly one place, and the books say which."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import dollymix
import dollymix.build
from dollymix.collect import Conversion
from dollymix.convert import Converter
from dollymix.export import Exporter
from dollymix.formats import sharegpt
from dollymix.framing.units import Units
from dollymix.ledger import reject
from dollymix.lineage import Lineage, lineage_rows
from dollymix.steps import required_text
from tests.laws.builds import (
    DOLLY_KEYS,
    Build,
    leftovers,
    scratch,
    write_recipe,
    write_rows,
    zstd,
)
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


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_the_manifest_says_of_each_file_what_an_independent_recount_finds(case, unit_bytes):
    with scratch() as folder:
        build = built(case, folder, unit_bytes)
    told = {(entry["source"], entry["file"]): entry for entry in build.manifest["inputs"]}
    examples = [row for _, row in build.written()] + build.dropped
    for source in case.sources:
        for member in source.members():
            entry = told.pop((source.name, member.name))
            parts = [parts_of(source.form, text) for text in member.records]
            ids = [row["id"] for row in examples if _file(row) == (source.name, member.name)]
            lost = [row["id"] for row in build.rejects if _file(row) == (source.name, member.name)]
            assert entry["records"] == len(parts)
            assert entry["parts"] == sum(parts)
            assert entry["empty"] == parts.count(0)
            assert (entry["examples"], entry["rejects"]) == (len(ids), len(lost))
            assert entry["examples_xxh3"] == _fingerprint(ids)
            assert entry["rejects_xxh3"] == _fingerprint(lost)
    assert told == {}


def _file(row: dict) -> tuple[str, str]:
    return row["source"], row["file"]


def _fingerprint(ids: list[str]) -> str:
    return f"{sum(xxhash.xxh3_64_intdigest(i.encode()) for i in ids) % 2**64:016x}"


# --- a build whose code breaks the law publishes nothing -------------------------------------


@pytest.fixture
def place():
    """A folder with conversations of two pairs, of which some are equal, blank or broken."""
    with scratch() as folder:
        turns = [("human", "q{n}"), ("gpt", "a{n}"), ("human", "r{n}"), ("gpt", "b{n}")]
        with open(folder / "chat.jsonl", "w") as file:
            for n in range(40):
                said = [{"from": r, "value": v.format(n=n % 35)} for r, v in turns]
                said[3]["value"] = " " if n == 7 else said[3]["value"]
                file.write(json.dumps({"conversations": said}) + "\n")
            file.write("no json\n")
        yield folder


STEPS = ["exact_duplicates"]
DIRECT: list[str] = []


def broken(folder: Path, steps: list[str], unit_bytes: int = 2000) -> str:
    """What the build says that stops; nothing is published, nothing is left over."""
    recipe = {"sources": [{"name": "s", "files": ["chat.jsonl"], "format": "sharegpt"}]}
    path = write_recipe(folder, {**recipe, "steps": steps})
    with pytest.raises(dollymix.InternalError) as caught:
        dollymix.merge(path, folder / "out", workers=1, unit_bytes=unit_bytes)
    assert not (folder / "out").exists()
    assert leftovers(folder / "out") == []
    return str(caught.value)


def change_result(monkeypatch, owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Let a function's result be changed."""
    function = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: change(function(*a, **k)))


def miscount(parsed):
    """One record has a part more than it is told to have."""
    if parsed.examples and parsed.examples[0].instruction == "q30":
        parsed.parts += 1
    return parsed


def double(parsed):
    """One record's first part becomes two examples."""
    if parsed.examples and parsed.examples[0].instruction == "q30":
        parsed.examples.append(parsed.examples[0])
    return parsed


def lose(parsed):
    """One record's verdict is forgotten."""
    parsed.verdicts.clear()
    return parsed


def overlap(parsed):
    """One record's example is rejected as well, and its parts are counted twice."""
    if parsed.examples and parsed.examples[0].instruction == "q30":
        parsed.verdicts.append(reject(parsed.examples[0].origin, "conversations[1]", "x.y", ""))
        parsed.parts += 1
    return parsed


@pytest.mark.parametrize(
    ("change", "record", "what"),
    [
        (miscount, 30, "has 5 parts, of which 4 are used and 0 are rejected"),
        (double, 30, "has its part `conversations[1]` in two places"),
        (lose, 7, "has 4 parts, of which 2 are used and 0 are rejected"),
        (overlap, 30, "has its part `conversations[1]` in two places"),
    ],
)
def test_a_format_that_loses_a_part_stops_the_build(place, monkeypatch, change, record, what):
    change_result(monkeypatch, sharegpt, "parse", change)
    assert broken(place, DIRECT) == f"s/chat.jsonl#{record}: {what}. Nothing is published"


def test_a_step_that_gives_an_example_another_origin_stops_the_build(place, monkeypatch):
    def moved(self, example):
        if example.instruction != "q30":
            return example
        origin = structs.replace(example.origin, record=0)
        return structs.replace(example, origin=origin)

    monkeypatch.setattr(required_text.Step, "__call__", moved)
    assert broken(place, ["required_text"]).startswith(
        "s/chat.jsonl#30: is given another origin by the step required_text"
    )


def test_a_unit_that_is_lost_stops_the_build(place, monkeypatch):
    iterate = Units.__iter__
    monkeypatch.setattr(Units, "__iter__", lambda self: skip(iterate(self), 1))
    assert "but the record before it ends at" in broken(place, DIRECT)


def test_a_unit_that_comes_twice_stops_the_build(place, monkeypatch):
    iterate = Units.__iter__
    monkeypatch.setattr(
        Units, "__iter__", lambda self: (u for unit in iterate(self) for u in (unit, unit))
    )
    assert "but the record before it ends at" in broken(place, DIRECT)


def skip(units, number):
    """The units without one."""
    return (unit for n, unit in enumerate(units) if n != number)


def test_records_that_are_not_counted_stop_the_build(place, monkeypatch):
    def one_less(result):
        result.counts.with_examples -= 1
        return result

    change_result(monkeypatch, Converter, "_convert", one_less)
    assert broken(place, DIRECT).startswith("s/chat.jsonl#0: of the ")


def test_examples_that_get_lost_between_worker_and_parent_stop_the_build(place, monkeypatch):
    def one_less(result):
        result.counts.examples += 1
        return result

    change_result(monkeypatch, Converter, "_convert", one_less)
    assert broken(place, DIRECT).startswith("s/chat.jsonl#0: from here on ")


def rows_changed(monkeypatch, change: Callable[[dict[str, list]], None]) -> None:
    """Let rows of lineage be changed on their way to disk."""
    add = Lineage.add

    def changed(self, rows):
        rows = {name: list(values) for name, values in rows.items()}
        if "s/chat.jsonl#12.conversations[1]" in rows["id"]:
            change(rows)
        return add(self, rows)

    monkeypatch.setattr(Lineage, "add", changed)


def at(rows: dict[str, list], path: str = "conversations[1]") -> int:
    """The row of record 12."""
    return rows["id"].index(f"s/chat.jsonl#12.{path}")


def lose_row(rows):
    row = at(rows)
    for values in rows.values():
        del values[row]


def lose_record(rows):
    for path in ("conversations[1]", "conversations[3]"):
        row = at(rows, path)
        for values in rows.values():
            del values[row]


def double_row(rows):
    row = at(rows)
    for values in rows.values():
        values.append(values[row])


def take_the_place_of_another(rows):
    one, other = at(rows), at(rows, "conversations[3]")
    for values in rows.values():
        values[one] = values[other]


def move_to_another_record(rows):
    rows["record"][at(rows)] = 13


def move_behind_the_end(rows):
    row = at(rows)
    rows["record"][row] = 41
    rows["id"][row] = "s/chat.jsonl#41.conversations[1]"


def move_to_another_file(rows):
    row = at(rows)
    rows["file"][row] = "other.jsonl"
    rows["id"][row] = "s/other.jsonl#12.conversations[1]"


ROW = "s/chat.jsonl#12.conversations[1]"


@pytest.mark.parametrize("steps", [DIRECT, STEPS])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lose_row, [f"{ROW}: is neither written nor dropped"]),
        (lose_record, ["s/chat.jsonl#12: is neither written, rejected nor dropped"]),
        (double_row, [f"{ROW}: stands in two places"]),
        (
            take_the_place_of_another,
            ["s/chat.jsonl#12.conversations[3]: stands in two places", f"{ROW}: is neither"],
        ),
        (move_to_another_record, [f"lineage/train/00000.parquet, id {ROW}: is not that of"]),
        (move_behind_the_end, ["s/chat.jsonl#41.conversations[1]: is behind the last record"]),
        (move_to_another_file, ["s/other.jsonl#12.conversations[1]: stands in lineage/"]),
    ],
)
def test_lineage_that_is_not_what_was_read_stops_the_build(place, monkeypatch, steps, change, told):
    rows_changed(monkeypatch, change)
    said = broken(place, steps)
    assert "nothing is published" in said
    for words in told:
        assert words in said


def test_a_drop_that_is_not_written_stops_the_build(place, monkeypatch):
    monkeypatch.setattr(Exporter, "_write_drop", lambda *_: None)
    said = broken(place, STEPS)
    assert "s/chat.jsonl#35: is neither written, rejected nor dropped" in said
    assert "ledger.json: s: duplicate is {'duplicate.exact': 10}" in said


def test_an_example_that_is_dropped_and_written_stops_the_build(place, monkeypatch):
    block = Exporter._block

    def keep_all(self, block_, text, gone, *others):
        # The books and dropped.jsonl.zst say that they are gone, and they are written all the same.
        block(self, block_, text, gone, *others)
        if gone:
            rows = lineage_rows(self._sources[0], block_, block_.columns())
            row = gone[0].ordinal - others[0]
            ends = block_.ends()
            line = text[ends[row - 1] if row else 0 : ends[row]]
            self._emit(0, {name: [v[row]] for name, v in rows.items()}, line, [len(line)])

    monkeypatch.setattr(Exporter, "_block", keep_all)
    assert "stands in two places" in broken(place, STEPS, unit_bytes=1 << 20)


def test_a_reject_that_is_not_written_stops_the_build(place, monkeypatch):
    monkeypatch.setattr(Conversion, "_write_rejects", lambda *_: None)
    said = broken(place, DIRECT)
    assert "s/chat.jsonl#40: is neither written, rejected nor dropped" in said
    assert "2 parts of it were rejected, other than the 0 that are there" in said


def test_rejects_that_are_written_twice_stop_the_build(place, monkeypatch):
    write = Conversion._write_rejects

    def twice(self, *arguments):
        write(self, *arguments)
        write(self, *arguments)

    monkeypatch.setattr(Conversion, "_write_rejects", twice)
    assert "stands in two places" in broken(place, DIRECT)


def test_books_that_do_not_balance_stop_the_build(place, monkeypatch):
    write = Exporter.write_lineage

    def one_more(self, done):
        write(self, done)
        self._ledger.sources["s"].written += 1

    monkeypatch.setattr(Exporter, "write_lineage", one_more)
    assert broken(place, DIRECT) == (
        "the books do not balance; nothing is published: "
        "s: examples + repeated = written + dropped: 79 is not 80"
    )


def lose_lineage(monkeypatch, lost: str) -> None:
    """Let an example's row of lineage be lost."""
    add = Lineage.add

    def without(self, rows):
        kept = [row for row, identity in enumerate(rows["id"]) if identity != lost]
        add(self, {name: [values[row] for row in kept] for name, values in rows.items()})

    monkeypatch.setattr(Lineage, "add", without)


def lose_drop(monkeypatch, lost: str) -> None:
    """Let the line of an example that was dropped be lost."""
    write = dollymix.build.write_dropped

    def without(stage):
        write(stage)
        path = stage.out / "dropped.jsonl.zst"
        lines = zstd.decompress(path.read_bytes()).splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["id"] != lost]
        assert len(kept) == len(lines) - 1
        path.write_bytes(zstd.compress(b"".join(kept)))

    monkeypatch.setattr(dollymix.build, "write_dropped", without)


@pytest.mark.parametrize(
    ("lose", "lost"),
    [
        (lose_lineage, "s/a.jsonl#2"),
        (lose_lineage, "s/b.jsonl#1"),
        (lose_drop, "s/a.jsonl#3"),
        (lose_drop, "s/b.jsonl#4"),
        (lose_drop, "s/b.jsonl#5"),
    ],
)
def test_what_is_lost_is_named_and_no_other_file(place, monkeypatch, lose, lost):
    """Of each of two files two rows are filtered, and the last is a duplicate."""
    for name in ("a", "b"):
        rows = [{"instruction": f"{name}{n}", "input": "c", "output": "x"} for n in range(5)]
        rows[3]["input"] = rows[4]["input"] = ""
        text = "".join(json.dumps(row) + "\n" for row in [*rows, rows[0]])
        (place / f"{name}.jsonl").write_text(text)
    source = {"name": "s", "files": ["a.jsonl", "b.jsonl"]}
    steps = [{"required_text": {"fields": ["context"]}}, "exact_duplicates"]
    path = write_recipe(place, {"sources": [source], "steps": steps})
    lose(monkeypatch, lost)
    with pytest.raises(dollymix.InternalError) as caught:
        dollymix.merge(path, place / "out", workers=1, unit_bytes=100)
    said = str(caught.value)
    file = lost.partition("#")[0]
    assert f"{lost}: is neither written nor dropped" in said
    assert f"{file}: 6 examples were made of it, other than the 5 that are there" in said
    assert said.count("s/") == said.count(file)
    assert not (place / "out").exists()


def test_a_fault_of_ours_ends_the_command_with_70_and_a_report(place, tmp_path):
    (tmp_path / "losing.py").write_text(
        "from dollymix.formats.alpaca import *\n"
        "from dollymix.formats import alpaca\n"
        "def parse(row, raw, origin, options):\n"
        "    parsed = alpaca.parse(row, raw, origin, options)\n"
        "    parsed.parts += origin.record == 3\n"
        "    return parsed\n"
    )
    write_rows(place / "rows.jsonl", 10)
    write_recipe(place, {"sources": [{"name": "s", "format": "x.losing", "files": ["rows.jsonl"]}]})
    (tmp_path / "x").mkdir()
    (tmp_path / "losing.py").rename(tmp_path / "x" / "losing.py")
    command = [
        sys.executable,
        "-m",
        "dollymix",
        "merge",
        "recipe.yaml",
        "-o",
        "out",
        "--workers",
        "2",
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 70, done.stderr
    assert "s/rows.jsonl#3: has 2 parts, of which 1 are used and 0 are rejected" in done.stderr
    assert "Traceback" not in done.stderr
    (report,) = tmp_path.glob("dollymix-fault-*.txt")
    assert str(report) in done.stderr
    assert not (place / "out").exists()
