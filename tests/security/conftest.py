"""Hostile inputs, made in a folder of their own for these tests by the generator beside the
repository. Every sixth case is run; with DOLLYMIX_SECURITY=full, all are."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
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


@pytest.fixture
def sample(generated: dict[str, Case]) -> list[Case]:
    """Every sixth case, and every one that attacks more than a parser."""
    always = ("cfg.", "content.", "arrow.pickled")
    return [
        case
        for number, case in enumerate(generated.values())
        if FULL or number % 6 == 0 or case.id.startswith(always)
    ]


@pytest.fixture
def naughty(shared: Path) -> list[str]:
    """The big list of naughty strings."""
    (path,) = (shared / "badinput" / "public" / "big-list-of-naughty-strings").glob("*.json")
    return [text for text in json.loads(path.read_bytes()) if text]


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs commands one after the other in a process of their own; see drive.py."""

    def run(plan: list[list[Any]], *before: str, **environment: str) -> list[dict[str, Any]]:
        command = [*before, *driver(tmp_path, plan)]
        done = subprocess.run(command, env=surroundings(**environment), capture_output=True)
        assert done.returncode == 0, done.stderr[-2000:].decode(errors="replace")
        return results(tmp_path)

    return run


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
