"""A dry run: what a build would read, change and take out, told before anything is written."""

import json
import os
import subprocess
import sys

import pytest

from dollymix.preview import preview
from tests.helpers import write_lines, write_text

RECIPE = """
version: 1
sources: [{name: s, files: [a.jsonl]}]
steps:
  - no_input
  - length: {response: {min: 2, max: 20}}
  - exact_duplicates
"""
ROWS = [
    *({"instruction": f"q{n}", "input": "<noinput>", "output": "an answer"} for n in range(5)),
    *({"instruction": f"q{n}", "input": "", "output": "x" * 100} for n in range(7)),
    {"instruction": "q", "input": "c", "output": "a"},
    {"instruction": "q", "output": ""},
]


@pytest.fixture
def place(tmp_path):
    """A folder with a recipe and its rows."""
    write_lines(tmp_path / "a.jsonl", ROWS)
    write_text(tmp_path / "r.yaml", RECIPE)
    return tmp_path


def run(place, *arguments):
    """A dry run on the command line."""
    command = [sys.executable, "-m", "dollymix", "merge", "r.yaml", "--dry-run"]
    return subprocess.run([*command, *arguments], cwd=place, capture_output=True, text=True)


def test_each_step_says_what_it_would_change_and_take_with_three_of_each(place):
    (seen,) = preview(place / "r.yaml")
    assert (seen.sampled, seen.examples, seen.rejected) == (14, 13, 1)
    assert seen.changed == {"no_input": 5}
    assert {reason: taken.count for reason, taken in seen.taken.items()} == {
        "length/length.too_long": 7,
        "length/length.too_short": 1,
    }
    shown = seen.taken["length/length.too_long"].shown
    assert [item.id for item in shown] == [f"s/a.jsonl#{n}" for n in (5, 6, 7)]
    assert shown[0].message == "`response` has 100 characters, more than 20"
    assert shown[0].response == "x" * 79 + "…"
    assert sorted(os.listdir(place)) == ["a.jsonl", "r.yaml"]


def test_the_counts_are_those_of_the_build(place):
    import dollymix

    (seen,) = preview(place / "r.yaml")
    counts = dollymix.merge(place / "r.yaml", place / "out", workers=1).ledger.sources["s"]
    assert counts.filtered == {reason: taken.count for reason, taken in seen.taken.items()}
    assert counts.changed == seen.changed
    # Nine characters of `<noinput>`, five times.
    assert counts.changed_characters == {"no_input": -45}
    assert "| s | no_input | 5 | -45 |" in (place / "out" / "README.md").read_text()


def test_what_steps_flag_is_shown_with_three_examples(place):
    (place / "a.jsonl").unlink()
    row = {"instruction": "주소는?", "output": "a@dollymix.dev"}
    write_lines(place / "a.jsonl", [row] * 5)
    write_text(place / "r.yaml", RECIPE.replace("no_input", "personal_data"))
    (seen,) = preview(place / "r.yaml")
    assert seen.changed == {}
    found = seen.flagged["personal_data.email"]
    assert (found.count, [item.id for item in found.shown]) == (
        5, [f"s/a.jsonl#{n}" for n in range(3)],
    )  # fmt: skip
    done = run(place)
    assert "s/a.jsonl: personal_data.email would flag 5, such as" in done.stdout
    assert done.stdout.count("`a@dollymix.dev`") == 3


def test_what_is_odd_is_shown_of_what_stays(place):
    (place / "a.jsonl").unlink()
    rows = [
        {"instruction": "음식은?", "output": "\ufffd 김치"},
        {"instruction": "나라는?", "output": "í\x95\x9cêµ\xad"},
        {"instruction": "길게", "output": "\ufffd" * 50},
    ]
    write_lines(place / "a.jsonl", rows)
    (seen,) = preview(place / "r.yaml")
    assert {flag: some.count for flag, some in seen.flagged.items()} == {
        "text.replacement_char": 1,
        "text.mojibake": 1,
    }
    import dollymix

    counts = dollymix.merge(place / "r.yaml", place / "out", workers=1).ledger.sources["s"]
    assert counts.warnings == {"text.replacement_char": 1, "text.mojibake": 1}


def test_what_checks_say_of_the_sample_is_told(tmp_path):
    rows = [
        {"instruction": f"답은 {n}번째 문장입니다." * 9, "output": f"{n}번째는요?"}
        for n in range(40)
    ]
    write_lines(tmp_path / "a.jsonl", rows)
    sources = "version: 1\nsources: [{name: s, files: [a.jsonl]}]\n"
    write_text(
        tmp_path / "r.yaml", f"{sources}steps: [roles, {{length_audit: {{limits: [100]}}}}]\n"
    )
    (seen,) = preview(tmp_path / "r.yaml")
    assert [line.rpartition(" ")[2] for line in seen.warnings] == [
        "[roles.look_swapped]",
        "[length_audit.too_long]",
    ]
    done = run(tmp_path)
    assert f"  s/a.jsonl: {seen.warnings[0]}" in done.stdout
    write_lines(tmp_path / "a.jsonl", [])
    write_text(tmp_path / "a.jsonl", '{"instruction": "", "output": "답"}\n')
    (seen,) = preview(tmp_path / "r.yaml")
    assert (seen.examples, seen.warnings) == (0, [])


def test_a_build_needs_its_folder(place):
    command = [sys.executable, "-m", "dollymix", "merge", "r.yaml"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "-o: name the folder to write, or look first with --dry-run\n"


def test_the_command_line_shows_it_and_writes_nothing(place):
    done = run(place)
    assert done.returncode == 0, done.stderr
    assert "s/a.jsonl: no_input would change 5" in done.stdout
    assert "s/a.jsonl: length/length.too_long would take 7, such as" in done.stdout
    assert "s/a.jsonl#5: `response` has 100 characters, more than 20" in done.stdout
    assert "s/a.jsonl#8" not in done.stdout
    (told,) = json.loads(run(place, "--json").stdout)
    assert told["taken"]["length/length.too_short"]["count"] == 1
    assert sorted(os.listdir(place)) == ["a.jsonl", "r.yaml"]
