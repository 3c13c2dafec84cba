"""Standard input: `-` on the command line and in a recipe, once."""

import gzip
import io
import json
import os
import subprocess
import sys

import pytest

import dollymix
from tests.framing.files import ROWS, array, lines
from tests.helpers import read_ledger, read_lineage, read_lines, write_text
from tests.laws.builds import write_recipe

DATA = lines(ROWS)


def run(data, *arguments, cwd=None):
    """The command line with these bytes on standard input."""
    command = [sys.executable, "-m", "dollymix", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, timeout=120, cwd=cwd)


def given(monkeypatch, data):
    """Standard input with these bytes in it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_dash_on_the_command_line(tmp_path):
    done = run(DATA, "merge", "-", "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert [line["response"] for line in read_lines(tmp_path / "out")] == [
        row["output"] for row in ROWS
    ]
    assert [row["id"] for row in read_lineage(tmp_path / "out")][:2] == [
        "stdin/stdin#0",
        "stdin/stdin#1",
    ]


def test_a_dash_beside_files(tmp_path):
    write_text(tmp_path / "a.jsonl", DATA.decode())
    done = run(array(ROWS), "merge", "-", "a.jsonl", "-o", "out", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(read_ledger(tmp_path / "out")["sources"]) == ["stdin", "a"]
    assert len(read_lines(tmp_path / "out")) == 10


@pytest.mark.parametrize(
    "data", [DATA, array(ROWS), gzip.compress(DATA, mtime=0), "\ufeff".encode() + DATA]
)
def test_a_dash_in_a_recipe(tmp_path, monkeypatch, data):
    write_text(tmp_path / "deep" / "a.jsonl", DATA.decode())
    recipe = write_recipe(tmp_path, {"sources": [{"name": "s", "files": ["-", "deep/a.jsonl"]}]})
    given(monkeypatch, data)
    dollymix.merge(recipe, tmp_path / "out", workers=1)
    lineage = read_lineage(tmp_path / "out")
    assert [row["id"] for row in lineage][::5] == ["s/stdin#0", "s/a.jsonl#0"]
    assert not (tmp_path / ".out.building").exists()


def test_what_is_left_of_it_in_a_build(tmp_path, monkeypatch):
    given(monkeypatch, DATA)
    dollymix.merge(["-"], tmp_path / "out", workers=1)
    paths = [
        json.loads(line) for line in (tmp_path / "out" / "build.log.jsonl").read_text().splitlines()
    ]
    assert str(tmp_path) not in json.dumps([line for line in paths if "stdin" in str(line)])
    life = dollymix.explain(tmp_path / "out", "stdin/stdin#3")
    assert (life.raw, life.note) == (None, "the input is not where the build read it")
    assert dollymix.verify(tmp_path / "out").faults == []


@pytest.mark.parametrize("data", [b"", b"no data at all\n"])
def test_standard_input_that_holds_nothing_of_use(tmp_path, monkeypatch, data):
    given(monkeypatch, data)
    with pytest.raises(dollymix.InputError) as caught:
        dollymix.merge(["-"], tmp_path / "out", workers=1)
    assert caught.value.reason == ("format.unknown" if data else "input.empty")
    assert os.listdir(tmp_path) == []


BROKEN_ZIP = b"PK\x03\x04" + bytes(60)


def test_what_cannot_be_read_of_it(tmp_path):
    for data, shown in [(b"no data at all\n", b"-: "), (BROKEN_ZIP, b"-: "), (b"[{", b"- at byte")]:
        done = run(data, "merge", "-", "-o", "out", "--quiet", cwd=tmp_path)
        assert (done.returncode, done.stderr.startswith(shown)) == (1, True), done.stderr


def test_a_file_of_the_name_that_standard_input_has_in_ids(tmp_path):
    write_text(tmp_path / "stdin", DATA.decode())
    dollymix.merge([tmp_path / "stdin"], tmp_path / "out", workers=1)
    log = (tmp_path / "out" / "build.log.jsonl").read_text()
    assert str(tmp_path / "stdin") in log


def test_it_is_read_once(tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, {"sources": [{"name": "s", "files": ["-", "-"]}]})
    given(monkeypatch, DATA)
    with pytest.raises(dollymix.InputError) as caught:
        dollymix.merge(recipe, tmp_path / "out", workers=1)
    assert caught.value.reason == "io.repeated"


def test_two_sources_are_given_the_same(tmp_path, monkeypatch):
    sources = [{"name": "a", "files": ["-"]}, {"name": "b", "files": ["-"], "format": "alpaca"}]
    recipe = write_recipe(tmp_path, {"sources": sources})
    given(monkeypatch, DATA)
    dollymix.merge(recipe, tmp_path / "out", workers=1)
    ids = [row["id"] for row in read_lineage(tmp_path / "out")]
    assert ids[::5] == ["a/stdin#0", "b/stdin#0"]


def test_a_plan_alone_does_not_read_it(tmp_path):
    done = run(DATA, "merge", "-", "--dry-run", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert b"standard input cannot be read here" in done.stderr


def test_a_file_that_is_called_so(tmp_path, monkeypatch):
    write_text(tmp_path / "-", DATA.decode())
    monkeypatch.chdir(tmp_path)
    result = dollymix.merge(["./-"], tmp_path / "out", workers=1)
    assert result.ledger.sources["source"].written == 5
