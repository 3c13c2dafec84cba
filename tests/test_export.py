"""Shards, splits, order, and the forms in which a set is written."""

import itertools
import json
import os

import pyarrow.parquet as pq
import pytest

import dollymix
import dollymix.export
from dollymix.export import Exporter
from tests.laws.builds import DOLLY_KEYS, Build, contents, scratch, write_recipe, write_rows

FORMS = ("alpaca", "sharegpt", "squad", "korquad2")


@pytest.fixture
def place():
    """A folder for one test."""
    with scratch() as folder:
        yield folder


def merge(place, target="out", recipe="recipe.yaml", **settings):
    """A build of a recipe in the place."""
    dollymix.merge(place / recipe, place / target, **{"workers": 1, **settings})
    return Build(place / target)


def rows_recipe(place, count, **settings):
    """A recipe over rows of different length."""
    write_rows(place / "a.jsonl", count)
    with open(place / "a.jsonl", "a", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"instruction": f"long {n}", "output": "가" * (n % 37)}) + "\n"
            for n in range(count)
        )
    return write_recipe(place, {"sources": [{"name": "s", "files": ["a.jsonl"]}], **settings})


@pytest.mark.parametrize("limit", [1, 500, 5000, 10_000_000])
@pytest.mark.parametrize("settings", [{}, {"shuffle": True}, {"splits": {"a": 0.5, "b": 0.5}}])
@pytest.mark.parametrize("unit_bytes", [300, 1 << 20])
def test_a_shard_closes_at_the_first_line_past_the_limit(
    place, monkeypatch, limit, settings, unit_bytes
):
    monkeypatch.setattr(dollymix.export, "SHARD_BYTES", limit)
    rows_recipe(place, 60, steps=["exact_duplicates"], **settings)
    build = merge(place, unit_bytes=unit_bytes)
    for split in build.manifest["splits"]:
        shards = sorted((place / "out" / "dolly" / split).iterdir())
        assert [path.name for path in shards] == [f"{n:05d}.jsonl" for n in range(len(shards))]
        for number, path in enumerate(shards):
            lines = path.read_bytes().splitlines(keepends=True)
            size = sum(map(len, lines))
            assert lines
            assert size - len(lines[-1]) < limit
            assert size >= limit or number == len(shards) - 1
    assert sum(map(len, build.lines.values())) == build.ledger["total"]["written"]
    ids = [row["id"] for _, row in build.written()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("steps", [[], ["exact_duplicates"]])
def test_shards_do_not_follow_units(place, monkeypatch, steps):
    monkeypatch.setattr(dollymix.export, "SHARD_BYTES", 700)
    rows_recipe(place, 40, steps=steps, outputs=[{"format": "jsonl"}, {"format": "parquet"}])
    expected = None
    for unit_bytes in (1, 100, 699, 4096, 1 << 20):
        build = merge(place, unit_bytes=unit_bytes)
        expected = expected or contents(place / "out")
        assert contents(place / "out") == expected
        assert len(build.lines) > 3
        # The lines are those of the input, with their own rows of lineage.
        for line, row in build.written():
            raw = (place / "a.jsonl").read_bytes()[row["byte_start"] : row["byte_end"]]
            assert json.loads(raw)["instruction"] == line["instruction"]


def chats(count):
    """Conversations of which two and two belong together, three pairs each."""
    for n in range(count):
        turns = [
            {"from": role, "value": f"{role} {n} {m}"}
            for m in range(3)
            for role in ("human", "gpt")
        ]
        yield {"id": f"abc{n // 2:04d}_{n % 2 * 6}", "conversations": turns}


def articles(count, form):
    """Articles of three questions; two and two have one title."""
    for n in range(count):
        context = f"문맥 {n}"
        questions = [
            {"id": f"{n}-{m}", "question": f"q {n} {m}", "answers": [{"text": context}]}
            for m in range(3)
        ]
        if form == "squad":
            paragraphs = [{"context": context, "qas": questions}]
            yield {"title": f"t{n // 2}", "paragraphs": paragraphs}
        else:
            for question in questions:
                (question["answer"],) = question.pop("answers")
            yield {"title": f"t{n // 2}", "context": context, "qas": questions}


def grouped(place, count):
    """A recipe over conversations, articles and pages, in three splits."""
    listed = []
    for name, records in (
        ("chat", chats(count)),
        ("squad", articles(count, "squad")),
        ("pages", articles(count, "korquad2")),
    ):
        (place / f"{name}.json").write_text(json.dumps(list(records), ensure_ascii=False))
        listed.append({"name": name, "files": [f"{name}.json"]})
    splits = {"train": 0.7, "validation": 0.2, "test": 0.1}
    return write_recipe(place, {"sources": listed, "splits": splits})


def test_what_belongs_together_is_in_one_split_and_the_shares_are_about_right(place):
    grouped(place, 300)
    build = merge(place, unit_bytes=1000)
    splits = {}
    for shard, rows in build.lineage.items():
        for row in rows:
            splits.setdefault((row["source"], row["group"]), set()).add(shard.split("/")[0])
            splits.setdefault((row["source"], row["record"], ""), set()).add(shard.split("/")[0])
    assert len({key for key in splits if len(key) == 2}) == 3 * 150
    assert [key for key, found in splits.items() if len(found) > 1] == []
    counts = build.manifest["splits"]
    total = sum(counts.values())
    assert total == 3 * 300 * 3
    for name, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
        assert abs(counts[name] / total - share) < 0.06


def test_the_seed_moves_groups_and_more_rows_move_none(place):
    grouped(place, 100)
    merge(place, "one")
    assert merge(place, "two", overrides={"seed": "7"}).lines != Build(place / "one").lines
    grouped(place, 120)
    more = merge(place, "more")
    for shard, rows in Build(place / "one").lineage.items():
        ids = {row["id"] for row in rows}
        assert ids <= {row["id"] for row in more.lineage[shard]}


def test_rows_without_a_group_stay_with_their_record(place):
    records = list(chats(60))
    for record in records:
        del record["id"]
    (place / "a.json").write_text(json.dumps(records))
    recipe = {"sources": [{"name": "s", "files": ["a.json"]}], "splits": {"a": 0.5, "b": 0.5}}
    write_recipe(place, recipe)
    build = merge(place)
    found = {}
    for shard, rows in build.lineage.items():
        for row in rows:
            found.setdefault(row["record"], set()).add(shard)
    assert len(found) == 60
    assert all(len(shards) == 1 for shards in found.values())
    assert set.union(*found.values()) == {"a/00000", "b/00000"}


def test_a_split_without_rows_gets_no_folder_and_a_warning(place):
    write_rows(place / "a.jsonl", 2)
    splits = {"train": 0.999999, "test": 0.000001}
    write_recipe(place, {"sources": [{"name": "s", "files": ["a.jsonl"]}], "splits": splits})
    build = merge(place)
    assert build.manifest["splits"] == {"train": 2}
    assert any("test" in warning for warning in build.manifest["warnings"])
    assert not (place / "out" / "dolly" / "test").exists()
    assert not (place / "out" / "lineage" / "test").exists()


def test_shuffle_is_a_permutation_that_follows_the_seed_alone(place):
    rows_recipe(place, 100)
    plain = merge(place, "plain")
    orders = {}
    for seed, workers, unit_bytes in ((0, 1, 1 << 20), (0, 1, 50), (0, 2, 900), (1, 1, 1 << 20)):
        name = f"{seed}-{workers}-{unit_bytes}"
        build = merge(
            place,
            name,
            workers=workers,
            unit_bytes=unit_bytes,
            overrides={"shuffle": "true", "seed": str(seed)},
        )
        orders.setdefault(seed, []).append([row["id"] for _, row in build.written()])
        pairs = {row["id"]: line for line, row in build.written()}
        assert pairs == {row["id"]: line for line, row in plain.written()}
    assert orders[0][0] == orders[0][1] == orders[0][2]
    assert orders[0][0] != orders[1][0]
    assert orders[0][0] != [row["id"] for _, row in plain.written()]


@pytest.mark.parametrize(
    "settings",
    [{}, {"shuffle": True}, {"splits": {"a": 0.5, "b": 0.5}}],
    ids=["one split", "shuffled", "two splits"],
)
@pytest.mark.parametrize("unit_bytes", [1, 300, 1 << 20])
def test_what_is_dropped_is_not_written_and_says_because_of_what(place, settings, unit_bytes):
    """Each row comes again, far behind it; the first beside it, too."""
    rows = [{"instruction": f"질문 {n}", "output": "답" * (n % 7 + 1)} for n in range(90)]
    again = [*rows, *rows]
    again.insert(1, rows[0])
    (place / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in again))
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}], "steps": ["exact_duplicates"]}
    write_recipe(place, {**recipe, **settings})
    build = merge(place, unit_bytes=unit_bytes)
    written = [(line["instruction"], row["record"]) for line, row in build.written()]
    place_of = {row["instruction"]: n + (n > 0) for n, row in enumerate(rows)}
    assert sorted(written) == sorted(place_of.items())
    dropped = {row["record"]: row["because_of"] for row in build.dropped}
    expected = {91 + n: f"s/a.jsonl#{place_of[row['instruction']]}" for n, row in enumerate(rows)}
    assert dropped == {1: "s/a.jsonl#0"} | expected
    for row in build.dropped:
        assert again[row["record"]]["instruction"] == row["instruction"]
    assert dollymix.verify(place / "out").faults == []


@pytest.mark.parametrize("has_advice", [True, False])
def test_working_lines_are_given_back_once_they_are_copied(place, monkeypatch, has_advice):
    rows_recipe(place, 60, steps=["exact_duplicates"])
    expected = contents(merge(place, "expected", unit_bytes=300).folder)
    monkeypatch.setattr(dollymix.export, "_RELEASE_BYTES", 1000)
    if has_advice:
        real, given = os.posix_fadvise, []

        def note(file, start, length, advice):
            if os.readlink(f"/proc/self/fd/{file}").endswith("/work/lines") and length:
                given.append((start, length, advice))
            real(file, start, length, advice)

        monkeypatch.setattr(os, "posix_fadvise", note)
    else:
        monkeypatch.delattr(os, "posix_fadvise")
    build = merge(place, unit_bytes=300)
    assert contents(build.folder) == expected
    if has_advice:
        lengths = [length for _, length, _ in given]
        assert {(start, advice) for start, _, advice in given} == {(0, os.POSIX_FADV_DONTNEED)}
        assert all(b - a >= 1000 for a, b in itertools.pairwise([0, *lengths]))
        assert len(lengths) > 2


def test_working_lines_that_became_shorter_publish_nothing(place, monkeypatch):
    rows_recipe(place, 60, steps=["exact_duplicates"])
    write = Exporter.write

    def shorter(exporter, *arguments):
        os.truncate(place / ".o\x1but.building" / "work" / "lines", 500)
        write(exporter, *arguments)

    monkeypatch.setattr(Exporter, "write", shorter)
    with pytest.raises(dollymix.BuildError, match="became shorter while it was read") as caught:
        merge(place, "o\x1but")
    assert str(caught.value).isprintable()
    assert not (place / "o\x1but").exists()
    monkeypatch.undo()
    merge(place, "o\x1but")
    assert dollymix.verify(place / "o\x1but").faults == []


@pytest.mark.parametrize("settings", [{}, {"shuffle": True}])
def test_a_step_with_nothing_to_look_at(place, settings):
    (place / "a.jsonl").write_text('{"instruction": "q", "output": ""}\nno json\n')
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}], "steps": ["exact_duplicates"]}
    write_recipe(place, {**recipe, **settings})
    with pytest.raises(dollymix.BuildError):
        merge(place)
    assert not (place / "out").exists()
    build = merge(place, allow_empty=True)
    assert (build.lines, build.lineage, build.dropped, len(build.rejects)) == ({}, {}, [], 2)
    assert dollymix.verify(place / "out").faults == []


@pytest.mark.parametrize("splits", [{}, {"train": 0.6, "test": 0.4}])
def test_parquet_holds_the_same_rows_as_the_lines(place, monkeypatch, splits):
    monkeypatch.setattr(dollymix.export, "SHARD_BYTES", 4000)
    (place / "b.json").write_text(
        json.dumps(
            [
                {"instruction": text, "input": text, "output": text}
                for text in ("\x00", "2020-01-01", "12", "null", "\u2028 \x85 \ud83d\ude00", '"\\"')
                for _ in range(2)
            ]
        )
    )
    write_rows(place / "a.jsonl", 40)
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl", "b.json"]}], "splits": splits}
    write_recipe(place, recipe)
    build = merge(place, formats=["jsonl", "parquet"])
    packed = sorted((place / "out" / "dolly-parquet").rglob("*.parquet"))
    assert len(packed) == len(build.lines)
    for path in packed:
        table = pq.read_table(path)
        assert table.column_names == DOLLY_KEYS
        assert {str(field.type) for field in table.schema} == {"string"}
        assert table.to_pylist() == build.lines[f"{path.parent.name}/{path.stem}"]


@pytest.mark.parametrize("steps", [[], ["exact_duplicates"]])
def test_row_groups_hold_ten_thousand_rows(place, steps):
    write_rows(place / "a.jsonl", 25_000)
    write_recipe(place, {"sources": [{"name": "s", "files": ["a.jsonl"]}], "steps": steps})
    merge(place, formats=["jsonl", "parquet"], unit_bytes=300_000)
    for form in ("dolly-parquet", "lineage"):
        table = pq.ParquetFile(place / "out" / form / "train" / "00000.parquet")
        groups = table.metadata.num_row_groups
        sizes = [table.metadata.row_group(n).num_rows for n in range(groups)]
        table.close()
        assert sizes == [10_000, 10_000, 5_000], form


@pytest.fixture
def everything(place):
    """A build of four formats, written in the form of each."""
    texts = ["가나다", "두\n줄", '},{"x": "', "\u2028😀", "<p>a</p>"]
    rows = [{"instruction": t, "input": t, "output": t + "!"} for t in texts]
    rows += [{"instruction": "no context", "input": "", "output": "a"}]
    pages = list(articles(4, "korquad2"))
    for name, value in (
        ("rows", rows),
        ("chat", list(chats(4))),
        ("squad", {"version": "1", "data": list(articles(4, "squad"))}),
        ("pages", {"data": pages}),
    ):
        (place / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False))
    listed = [{"name": n, "files": [f"{n}.json"]} for n in ("rows", "chat", "squad", "pages")]
    outputs = [{"view": "dolly"}, *({"view": form} for form in FORMS)]
    write_recipe(place, {"sources": listed, "outputs": outputs})
    merge(place)
    return place


@pytest.mark.parametrize("form", FORMS)
def test_a_view_can_be_read_back_to_the_same_texts(everything, form):
    place = everything
    lines = [line for line, _ in Build(place / "out").written()]
    view = place / "out" / form / "train" / "00000.jsonl"
    assert len(view.read_bytes().split(b"\n")) == len(lines) + 1
    source = {"name": "s", "files": [str(view)], "format": form}
    write_recipe(place, {"sources": [source]}, "back.yaml")
    if form in ("squad", "korquad2"):
        # An answer that its context does not hold is rejected, unless it is asked for.
        source["options"] = {"not_in_context": "keep"}
        write_recipe(place, {"sources": [source]}, "back.yaml")
    back = [line for line, _ in merge(place, "back", "back.yaml").written()]
    assert [line["response"] for line in back] == [line["response"] for line in lines]
    if form == "sharegpt":
        # A conversation has no place for a context but above the question.
        asked = ["\n\n".join(filter(None, (ln["context"], ln["instruction"]))) for ln in lines]
        assert [line["instruction"] for line in back] == asked
    else:
        assert [line["instruction"] for line in back] == [line["instruction"] for line in lines]
        assert [line["context"] for line in back] == [line["context"] for line in lines]


def test_a_view_has_all_that_an_example_has_beside_its_line(place):
    tools = [{"name": "search", "parameters": {}}]
    row = {
        "instruction": "q", "input": "c", "output": "a", "system": "s", "rejected": "worse",
        "history": [["q0", "a0"], ["q1", "a1"]], "tools": tools,
    }  # fmt: skip
    bare = {"instruction": "q", "input": "", "output": "b"}
    (place / "rows.json").write_text(json.dumps([row, bare]))
    write_recipe(
        place,
        {"sources": [{"name": "s", "files": ["rows.json"]}], "outputs": [{"view": "alpaca"}]},
    )
    merge(place)
    lines = (place / "out" / "alpaca" / "train" / "00000.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [row, bare]


@pytest.mark.parametrize("form", ["squad", "korquad2"])
def test_a_view_has_the_place_of_the_answer(place, form):
    answers = [{"text": "둘", "answer_start": 4}]
    question = {"id": "1", "question": "q", "answers": answers}
    page = {"title": "t", "paragraphs": [{"context": "둘 하나둘", "qas": [question]}]}
    (place / "squad.json").write_text(json.dumps({"data": [page]}))
    write_recipe(
        place,
        {"sources": [{"name": "s", "files": ["squad.json"]}], "outputs": [{"view": form}]},
    )
    merge(place)
    line = json.loads((place / "out" / form / "train" / "00000.jsonl").read_text())
    said = line["paragraphs"][0]["qas"][0]["answers"][0] if form == "squad" else None
    assert (said or line["qas"][0]["answer"]) == answers[0]


def test_views_are_in_the_manifest_and_row_for_row(everything):
    build = Build(everything / "out")
    listed = {entry["file"]: entry for entry in build.manifest["outputs"]}
    for form in FORMS:
        entry = listed[f"{form}/train/00000.jsonl"]
        assert entry["rows"] == build.manifest["splits"]["train"]
    assert dollymix.verify(everything / "out").faults == []
