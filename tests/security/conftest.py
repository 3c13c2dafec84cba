"""Hostile inputs, made in a folder of their own for these tests by the generator beside the
repository. Every sixth case is run; with DOLLYMIX_SECURITY=full, all are."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FULL = os.environ.get("DOLLYMIX_SECURITY") == "full"
ROOT = Path(__file__).resolve().parents[2]


class Case(NamedTuple):
    """A generated input and what is expected of it."""

    id: str
    path: Path
    expected: dict[str, Any]


@pytest.fixture(scope="session")
def generated(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Every small case, by its id."""
    maker = shared / "badinput" / "make_bad_inputs.py"
    if not maker.exists():
        pytest.skip("needs ../shared/badinput, the generator of bad inputs, which is not there")
    folder = tmp_path_factory.mktemp("bad")
    subprocess.run([sys.executable, maker, folder], check=True, capture_output=True)
    found: dict[str, Case] = {}
    for line in (folder / "expect.jsonl").read_bytes().splitlines():
        row = json.loads(line)
        encoded = row["path_b64"]
        name = os.fsdecode(base64.b64decode(encoded)) if encoded else row["path"]
        found[row["id"]] = Case(row["id"], folder / name, row)
    return found


@pytest.fixture(scope="session")
def sample(generated: dict[str, Case]) -> list[Case]:
    """Every sixth case, and every one that attacks more than a parser."""
    always = ("cfg.", "content.", "arrow.pickled")
    return [
        case
        for number, case in enumerate(generated.values())
        if FULL or number % 6 == 0 or case.id.startswith(always)
    ]


@pytest.fixture(scope="session")
def naughty(shared: Path) -> list[str]:
    """The big list of naughty strings."""
    (path,) = (shared / "badinput" / "public" / "big-list-of-naughty-strings").glob("*.json")
    return [text for text in json.loads(path.read_bytes()) if text]


class Run(NamedTuple):
    """Every command on every case: what came of each, what the terminal was sent, and where."""

    found: list[dict[str, Any]]
    sent: bytes
    place: Path


@pytest.fixture(scope="session")
def corpus(sample: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The cases, driven through every command, in one process on a terminal."""
    place = tmp_path_factory.mktemp("corpus")
    plan: list[list[Any]] = []
    for number, case in enumerate(sample):
        name, path = place / str(number), case.path
        plan += [
            ["merge", path, "-o", name, "--workers", 1, "--quiet"],
            ["merge", path, "--dry-run", "-o", name],
            ["inspect", path],
            ["inspect", path, "--json"],
            ["init", path],
            ["verify", name],
            ["explain", name, f"{path.name.split('.')[0]}/{path.name}#0"],
            ["diff", name, place / "warm"],
        ]
    status, sent = on_terminal(driver(place, plan), env=surroundings(TMPDIR=str(place)))
    assert status == 0, sent[-2000:]
    return Run(results(place), sent, place)


def on_terminal(command: list[str], **settings: Any) -> tuple[int, bytes]:
    """The exit status of a command on a terminal, and all that the terminal was sent."""
    ours, its = pty.openpty()
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, **settings)
    os.close(its)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # how Linux tells that nobody writes any more
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    return process.wait(), b"".join(pieces)


def driver(place: Path, plan: list[list[Any]]) -> list[str]:
    """The command that runs a plan, behind a merge of the samples that loads every module."""
    warm = ["merge", ROOT / "examples" / "recipe.yaml", "-o", place / "warm", "--workers", 1]
    whole = [[*warm, "--quiet"], *plan]
    (place / "plan.json").write_text(json.dumps([[str(a) for a in one] for one in whole]))
    return [sys.executable, "-m", "tests.security.drive", f"{place}/plan.json", f"{place}/results"]


def results(place: Path) -> list[dict[str, Any]]:
    """What came of a plan that was run."""
    found: list[dict[str, Any]] = json.loads((place / "results").read_bytes())
    return found[1:]


def surroundings(**other: str) -> dict[str, str]:
    """The environment in which this project's modules and tests are found."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "100", **other}
