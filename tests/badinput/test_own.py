"""Every generated hostile input gets its stated verdict through the command line.

The generator lies in `../shared/badinput`. Large files and bombs take minutes and half a gigabyte:
`python -m tests.badinput.cases CASES` runs them all; here, with DOLLYMIX_FULL=1.
"""

import os
import subprocess
import sys

import pytest

from tests.badinput.cases import load, measure

GROUPS = (
    "jsonl.[a-d]*", "jsonl.[e-n]*", "jsonl.o*", "jsonl.[p-z]*", "json.*", "schema.a*",
    "schema.[b-z]*", "enc.*", "gz.*", "bz2.*", "xz.*", "zst.*", "zip.[a-n]*", "zip.[o-z]*",
    "tar.*", "csv.[a-n]*", "csv.[o-z]*", "pq.*", "arrow.*", "content.*", "cfg.*", "fs.*",
)  # fmt: skip
TOTAL = 313
FULL = os.environ.get("DOLLYMIX_FULL") == "1"


@pytest.fixture(scope="session")
def cases(shared, tmp_path_factory):
    """The folder of generated cases; all that the generator knows are there."""
    folder = tmp_path_factory.mktemp("bad") / "cases"
    generator = shared / "badinput" / "make_bad_inputs.py"
    options = ["--fs", *(["--large", "--bombs"] if FULL else [])]
    subprocess.run([sys.executable, generator, folder, *options], check=True, capture_output=True)
    assert not (folder / "skipped.txt").read_text().strip()
    return folder


def differences(cases, pattern):
    """What differs from the stated verdicts; times are the machine's matter, not a test's."""
    found = []
    for case in load(cases, pattern):
        told = measure(cases, case).differences
        found += [f"{case['id']}: {line}" for line in told if not line.startswith("took ")]
    return found


@pytest.mark.parametrize("pattern", GROUPS)
def test_every_case_has_its_verdict(cases, pattern):
    assert load(cases, pattern)
    assert differences(cases, pattern) == []


def test_the_groups_hold_every_case(cases):
    known = {case["id"] for pattern in GROUPS for case in load(cases, pattern)}
    small = {case["id"] for case in load(cases) if case["group"] in ("small", "fs")}
    assert known == small
    assert not FULL or len(load(cases)) == TOTAL


@pytest.mark.skipif(not FULL, reason="takes minutes: set DOLLYMIX_FULL=1")
@pytest.mark.parametrize("pattern", ["large.*", "bomb.*"])
def test_large_files_and_bombs_have_their_verdict(cases, pattern):
    assert differences(cases, pattern) == []
