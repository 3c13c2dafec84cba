"""Ids that records bring along: kept as they are, and counted where one comes again."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix import own_ids
from tests.helpers import merge, read_ledger, read_lines, write_json, write_lines


def warned(out, name):
    """How often a source was told of, or None."""
    return read_ledger(out)["sources"][name]["warnings"].get("id.duplicate")


def chat(identity, text):
    """A conversation of one question and its answer."""
    turns = [{"from": "human", "value": f"{text}?"}, {"from": "gpt", "value": text}]
    return {"id": identity, "conversations": turns}


def recipe(**files):
    """A recipe of sources, one file each."""
    lines = [f"  - {{name: {name}, files: [{file}]}}\n" for name, file in files.items()]
    return "version: 1\nsources:\n" + "".join(lines)


def test_an_id_that_comes_again_is_counted_and_both_records_stay(tmp_path):
    write_lines(tmp_path / "a.jsonl", [chat("x", "one"), chat("y", "two"), chat("x", "three")])
    write_lines(tmp_path / "b.jsonl", [chat("x", "four")])
    merge(recipe(a="a.jsonl", b="b.jsonl"), tmp_path / "out")
    assert len(read_lines(tmp_path / "out")) == 4
    # An id is one of its source.
    assert (warned(tmp_path / "out", "a"), warned(tmp_path / "out", "b")) == (1, None)


def test_ids_of_two_files_of_one_source_are_compared(tmp_path):
    write_lines(tmp_path / "a.jsonl", [chat("x", "one"), chat(7, "two")])
    write_lines(tmp_path / "b.jsonl", [chat(7, "three"), chat("7", "four"), chat("x", "five")])
    merge(recipe(s="a.jsonl, b.jsonl"), tmp_path / "out", workers=2, unit_bytes=64)
    assert warned(tmp_path / "out", "s") == 2


def test_no_id_is_none(tmp_path):
    write_lines(tmp_path / "a.jsonl", [chat(None, "one"), chat(None, "two"), chat("", "three")])
    write_lines(tmp_path / "b.jsonl", [{"instruction": n, "output": n} for n in "abc"])
    merge(recipe(a="a.jsonl", b="b.jsonl"), tmp_path / "out")
    assert (warned(tmp_path / "out", "a"), warned(tmp_path / "out", "b")) == (None, None)


def test_ids_of_questions(tmp_path):
    def article(*ids):
        qas = [
            {"id": i, "question": f"{n}?", "answers": [{"text": "강", "answer_start": 1}]}
            for n, i in enumerate(ids)
        ]
        return {"title": "t", "paragraphs": [{"context": "한강", "qas": qas}]}

    write_json(tmp_path / "a.json", {"data": [article("1", "2"), article("3", "1"), article("2")]})
    merge(recipe(s="a.json"), tmp_path / "out")
    assert warned(tmp_path / "out", "s") == 2


def test_a_record_that_comes_to_nothing_has_no_id(tmp_path):
    empty = {"id": "x", "conversations": [{"from": "human", "value": "a"}]}
    write_lines(tmp_path / "a.jsonl", [chat("x", "one"), empty])
    merge(recipe(a="a.jsonl"), tmp_path / "out")
    assert warned(tmp_path / "out", "a") is None


@pytest.mark.parametrize("bucket", [1, 3, 1 << 22])
@given(values=st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1)))
def test_hashes_are_counted_bucket_by_bucket(tmp_path_factory, bucket, values):
    path = tmp_path_factory.mktemp("ids") / "ids"
    spread = [value * 0x9E3779B97F4A7C15 % 2**64 for value in values]
    path.write_bytes(np.array(spread, dtype=">u8").tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_ids, "_BUCKET", bucket)
        patch.setattr(own_ids, "_READ", 4)
        found = own_ids.count_repeated(path)
    assert found == sum(count - 1 for count in Counter(values).values())
