"""A build that is broken on purpose: the short set of `scripts/faults.py`.

The long one is run by hand, as docs/reliability.md says.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COUNTS = re.compile(r"^\| (?P<name>[^|]+) \| (?P<shots>\d+) \| (?P<bad>\d+) \|", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def harnesses() -> None:
    """What the shots need, or a skip that says what is missing."""
    if not (ROOT.parent / "shared" / "faults").is_dir():
        pytest.skip("needs ../shared/faults, the folder of the fault harnesses, which is not there")
    if shutil.which("strace") is None:
        pytest.skip("needs strace, which is not there")
    traced = subprocess.run(["strace", "-qq", "true"], capture_output=True)
    if traced.returncode:
        pytest.skip("needs strace, which may not trace here")


@pytest.mark.parametrize(
    ("what", "least"),
    [
        pytest.param("syscalls", 60, id="a fault at every so-manieth call"),
        pytest.param("powercut", 1000, id="every state of the disk after a power cut"),
        pytest.param("kill", 10, id="kills at random moments"),
    ],
)
def test_no_shot_is_bad(what: str, least: int) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "faults.py"), what, "--short"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    series = [found.groupdict() for found in COUNTS.finditer(done.stdout)]
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(int(one["shots"]) for one in series) >= least
    assert [one for one in series if one["bad"] != "0"] == []
