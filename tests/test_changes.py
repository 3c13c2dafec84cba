"""What steps did with an example is told of it, whether it is written or dropped in the end."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.helpers import merge, read_dropped, read_ledger, read_lineage, write_lines

RECIPE = """
version: 1
sources: [{name: s, files: [a.jsonl]}]
steps:
  - {personal_data: {action: mask, kinds: [email]}}
  - personal_data: {kinds: [phone]}
  - no_input
  - length: {response: {max: 20}}
  - exact_duplicates
"""
ROWS = [
    {"instruction": "q", "input": "<noinput>", "output": "a@dollymix.dev"},
    {"instruction": "q", "input": "", "output": "a@dollymix.dev"},
    {"instruction": "p", "input": "<noinput>", "output": "b@dollymix.dev, and a long answer"},
    {"instruction": "t", "input": "", "output": "010-1234-5678"},
    {"instruction": "u", "input": "", "output": "plain"},
]
# `a@dollymix.dev` has 14 characters, its mask seven; `<noinput>` has nine.
CHANGED = [("personal_data", -7), ("no_input", -9)]


@pytest.fixture
def built(tmp_path):
    """The build of the rows."""
    write_lines(tmp_path / "a.jsonl", ROWS)
    merge(RECIPE, tmp_path / "out")
    return tmp_path / "out"


def told(row):
    """The steps of a row, each with the characters that it added."""
    return list(zip(row.get("steps") or (), row.get("step_characters") or (), strict=True))


def test_lineage_and_what_is_dropped_say_what_each_step_changed(built):
    written = {row["record"]: row for row in read_lineage(built)}
    dropped = {row["record"]: row for row in read_dropped(built)}
    assert {n: told(row) for n, row in written.items()} == {0: CHANGED, 3: [], 4: []}
    assert {n: told(row) for n, row in dropped.items()} == {1: CHANGED[:1], 2: CHANGED}
    assert dropped[1]["step"] == "exact_duplicates"
    assert dropped[2]["step"] == "length"


def test_flags_of_dropped_examples_are_told_and_counted(built):
    flags = {
        row["record"]: row.get("flags") for row in (*read_lineage(built), *read_dropped(built))
    }
    email = ["personal_data.email"]
    assert flags == {0: email, 1: email, 2: email, 3: ["personal_data.phone"], 4: None}
    warnings = read_ledger(built)["total"]["warnings"]
    assert warnings == {"personal_data.email": 3, "personal_data.phone": 1}


def test_the_ledger_is_the_sum_of_what_is_told(built):
    """A flag alone changes no text, and is counted as a warning."""
    rows = [pair for row in (*read_lineage(built), *read_dropped(built)) for pair in told(row)]
    total = read_ledger(built)["total"]
    assert total["changed"] == Counter(step for step, _ in rows)
    assert total["changed_characters"] == {"personal_data": -21, "no_input": -18}
    assert sum(characters for _, characters in rows) == -39


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        (0, ["changed by: personal_data (-7 characters), no_input (-9 characters)"]),
        (2, ["length: `response` has 26 characters, more than 20 [length.too_long]"]),
        (2, ["changed by: personal_data (-7 characters), no_input (-9 characters)"]),
        (3, ["changed by: nothing", "flags: personal_data.phone"]),
    ],
)
def test_explain_tells_it(built, record, lines):
    command = [sys.executable, "-m", "dollymix", "explain", str(built), f"s/a.jsonl#{record}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in lines:
        assert f"  {line}\n" in said
