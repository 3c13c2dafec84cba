"""What tests are given: the repository's samples, and the larger data that may lie beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.builds import scratch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for one test, in memory where that is possible: many make many small builds."""
    with scratch() as folder:
        yield folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the bundled samples."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs ../shared, the folder of real data, which is not there")
    return folder
