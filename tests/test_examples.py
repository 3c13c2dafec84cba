"""The bundled samples give the counts that are written beside them."""

import json

import pytest

import dollymix
from tests.helpers import merge, read_ledger, read_lineage, read_lines, read_rejects

FILES = [
    "kovicuna/ko_dataset.json",
    "kovicuna/ko_dataset_2.json",
    "kovicuna/ko_alpaca_style_dataset.json",
    "alpaca/ko_alpaca_data.json",
    "korquad1/KorQuAD_v1.0_sample.json",
    "korquad1/nia_sample.json",
    "korquad2/korquad2_sample.zip!korquad2.1_sample_00.json",
    "korquad2/korquad2_sample.zip!korquad2.1_sample_01.json",
]


@pytest.fixture(scope="module")
def expected(examples):
    return json.loads((examples / "data" / "expected.json").read_bytes())


@pytest.fixture(scope="module")
def build(examples, tmp_path_factory):
    out = tmp_path_factory.mktemp("examples") / "out"
    merge(examples / "recipe.yaml", out)
    return out


def said(warnings):
    """Warnings but those of keys that nobody reads."""
    return {code: n for code, n in warnings.items() if not code.startswith("unread_key.")}


def test_every_file_has_its_counts(expected):
    assert list(expected) == FILES


@pytest.mark.parametrize("name", [name for name in FILES if "!" not in name])
def test_a_file_alone_gives_the_counts_that_are_written(examples, expected, tmp_path, name):
    counts = merge([examples / "data" / name], tmp_path / "out").ledger.total()
    assert {key: getattr(counts, key) for key in expected[name] if key != "warnings"} == {
        key: value for key, value in expected[name].items() if key != "warnings"
    }
    assert said(counts.warnings) == expected[name]["warnings"]


def test_the_members_of_the_archive_give_the_counts_that_are_written(examples, expected, tmp_path):
    counts = merge([examples / "data/korquad2/korquad2_sample.zip"], tmp_path / "out").ledger
    members = [expected[name] for name in FILES if "!" in name]
    for key in ("records", "parts", "parts_used", "examples", "empty", "parts_rejected"):
        assert getattr(counts.total(), key) == sum(member[key] for member in members)
    assert said(counts.total().warnings) == {"qa.offset_mismatch": 1}


def test_the_recipe_gives_the_counts_of_all_files(build, expected):
    total = read_ledger(build)["total"]
    for key in ("records", "parts", "parts_used", "examples", "empty", "parts_rejected"):
        assert total[key] == sum(counts[key] for counts in expected.values())
    reasons = {reason for counts in expected.values() for reason in counts["rejected"]}
    assert total["rejected"] == {
        reason: sum(counts["rejected"].get(reason, 0) for counts in expected.values())
        for reason in reasons
    }


def test_the_repeats_that_are_planted_are_found(build):
    sources = read_ledger(build)["sources"]
    assert {name: sum(counts["duplicate"].values()) for name, counts in sources.items()} == {
        "kovicuna": 56,
        "kovicuna_alpaca": 40,
        "alpaca": 3,
        "korquad1": 1,
        "korquad2": 0,
    }


def test_the_splits_hold_all_that_is_left(build):
    lines = read_lines(build, "train") + read_lines(build, "validation")
    rows = read_lineage(build, "train") + read_lineage(build, "validation")
    assert len(lines) == len(rows) == read_ledger(build)["total"]["written"]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(line["category"] == "open_qa" for line in lines)


def test_what_belongs_together_stays_in_one_split(build):
    def groups(split):
        return {(row["source"], row["group"]) for row in read_lineage(build, split) if row["group"]}

    assert groups("train").isdisjoint(groups("validation"))


def test_both_forms_hold_the_same_rows(build):
    import pyarrow.parquet as pq

    for split in ("train", "validation"):
        (shard,) = (build / "dolly-parquet" / split).glob("*.parquet")
        assert pq.read_table(shard).to_pylist() == read_lines(build, split)


def test_each_reject_is_told_with_its_place_and_its_bytes(build):
    rejects = read_rejects(build)
    assert len(rejects) == sum(read_ledger(build)["total"]["rejected"].values())
    assert all(row["reason"] and row["message"] and row["byte_end"] for row in rejects)


def test_the_build_can_be_verified(build):
    report = dollymix.verify(build)
    assert (report.faults, report.notes) == ([], [])
