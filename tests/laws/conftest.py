"""A folder for each test, in memory where that is possible."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.builds import scratch


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for one test."""
    with scratch() as folder:
        yield folder
