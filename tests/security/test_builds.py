"""A build may come from somebody else: what reads one does not believe it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.helpers import all_files, merge, write_lines
from tests.security.conftest import surroundings

ROWS = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(3)]


@pytest.fixture
def built(tmp_path):
    write_lines(tmp_path / "a.jsonl", ROWS)
    merge([tmp_path / "a.jsonl"], tmp_path / "out")
    return tmp_path / "out"


def run(*arguments):
    """The status of a command and what it said; a command that hangs fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dollymix", *arguments],
        env=surroundings(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "missing"])
def test_an_input_that_is_no_file_is_not_read(built, tmp_path, kind):
    """The log says where the inputs were: such as a pipe that nobody writes to."""
    path = {"device": "/dev/zero", "folder": str(tmp_path), "missing": "/none"}.get(kind)
    if path is None:
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
    events = [json.loads(line) for line in (built / "build.log.jsonl").read_text().splitlines()]
    events[0]["path"] = path
    (built / "build.log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    status, said = run("explain", built, "a/a.jsonl#0")
    assert status == 0
    assert "not shown" in said
    assert run("verify", built)[0] in (0, 1)


@pytest.mark.parametrize(
    "identity", [f"a/a.jsonl#{'9' * 5000}", f"a/a.jsonl#{'9' * 18}", "a/#1", "#", ""]
)
def test_an_id_that_cannot_be_is_the_calls_fault(built, identity):
    assert run("explain", built, identity)[0] == 2


def test_reading_a_build_changes_nothing(built, tmp_path):
    before = all_files(tmp_path)
    for arguments in (("verify", built), ("explain", built, "a/a.jsonl#0"), ("diff", built, built)):
        assert run(*arguments)[0] == 0
    assert all_files(tmp_path) == before


def test_an_output_that_is_a_link_to_what_is_no_build_is_left_alone(tmp_path):
    """S9, as it stands: what a link leads to is replaced only where it is a build."""
    write_lines(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine")
    (tmp_path / "out").symlink_to(tmp_path / "mine")
    status, _ = run("merge", tmp_path / "a.jsonl", "-o", tmp_path / "out", "--quiet")
    assert status != 0
    assert all_files(tmp_path / "mine") == {"note": b"mine"}
