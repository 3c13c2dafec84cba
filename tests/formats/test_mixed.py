"""Records of several formats in one file: each is read as what it is."""

import itertools

import pytest

import dollymix
from dollymix import formats
from tests.formats.test_contract import sample
from tests.helpers import merge, parse, read_lines, read_rejects, texts, write_json, write_lines

PAIRS = list(itertools.permutations(formats.names(), 2))


def examples_of(*names):
    return [text for name in names for text in texts(parse(name, sample(name)))]


@pytest.mark.parametrize("write", [write_json, write_lines])
@pytest.mark.parametrize(("common", "rare"), PAIRS)
def test_each_record_is_read_as_what_it_is(tmp_path, write, common, rare):
    path = write(tmp_path / "a.json", [sample(common), sample(rare), sample(common)])
    counts = merge([path], tmp_path / "out").ledger.total()
    assert counts.rejected == {}
    lines = read_lines(tmp_path / "out")
    made = [(line["instruction"], line["context"], line["response"]) for line in lines]
    assert made == examples_of(common, rare, common)


@pytest.mark.parametrize(("common", "rare"), PAIRS)
def test_inspect_shows_what_a_merge_makes(tmp_path, common, rare):
    path = write_lines(tmp_path / "a.jsonl", [sample(common), sample(rare), sample(common)])
    (seen,) = dollymix.inspect(path)
    shown = [(e.instruction, e.context, e.response) for r in seen.records for e in r.examples]
    assert shown == examples_of(common, rare, common)


CHAT = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
BAD_TURN = {"conversations": [*CHAT["conversations"], {"from": "gpt", "value": 7}]}
BAD_ROW = {"instruction": "i", "output": 7}


@pytest.mark.parametrize(
    ("records", "rejected"),
    [
        ([CHAT, CHAT, BAD_ROW], ("output", "schema.type")),
        ([CHAT, BAD_TURN, {"instruction": "i", "output": "o"}], (".value", "schema.type")),
        ([{"instruction": "i", "output": "o"}] * 2 + [BAD_TURN], (".value", "schema.type")),
    ],
)
def test_a_bad_record_is_judged_by_its_own_format(tmp_path, records, rejected):
    path = write_lines(tmp_path / "a.jsonl", records)
    merge([path], tmp_path / "out")
    (row,) = read_rejects(tmp_path / "out")
    assert (row["path"].endswith(rejected[0]), row["reason"]) == (True, rejected[1])
    (seen,) = dollymix.inspect(path)
    (verdict,) = [v for record in seen.records for v in record.verdicts]
    assert (verdict.path, verdict.reason) == (row["path"], row["reason"])
