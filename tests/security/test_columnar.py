"""S15: a column's type is read as plain storage, whatever a file says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import read_lines
from tests.security.test_builds import run

PWNED = Path("/tmp/pwned_by_arrow")


@pytest.fixture
def pickled(generated):
    """An Arrow file whose schema holds a pickle that would make a file."""
    return generated["arrow.pickled_extension_type"].path


def test_a_pickled_type_runs_nothing(pickled, tmp_path):
    PWNED.unlink(missing_ok=True)
    for workers in (1, 2):
        output = tmp_path / str(workers)
        run("merge", pickled, "-o", output, "--quiet", "--workers", str(workers))
        run("inspect", pickled)
    assert not PWNED.exists()


def test_a_file_with_a_pickled_type_is_read_as_plain_text(generated, pickled, tmp_path):
    status, _ = run("merge", generated["arrow.ok"].path, "-o", tmp_path / "plain", "--quiet")
    if status:
        pytest.skip("needs a reader of Arrow files, which is not there yet")
    status, said = run("merge", pickled, "-o", tmp_path / "out", "--quiet")
    assert status == 0, said
    (line,) = read_lines(tmp_path / "out")
    assert (line["instruction"], line["response"]) == ("q", "a")
