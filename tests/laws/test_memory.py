"""Law 4: peak memory does not grow with the input."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laws.builds import write_recipe

# 20 MB of rows, no two equal.
ROWS, TEXT = 38_000, "긴 글 하나 " * 16
REPEATS = 10

_PEAK = """
import resource, sys
import dollymix
result = dollymix.merge(sys.argv[1], sys.argv[2], workers=1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, result.ledger.total().records)
"""


@pytest.fixture(scope="module")
def lines() -> bytes:
    """The input, once."""
    rows = ({"instruction": f"{n} {TEXT}", "input": "", "output": TEXT} for n in range(ROWS))
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    assert len(data) > 19_000_000
    return data


def peak(folder: Path, path: Path, steps: list[str]) -> tuple[int, int]:
    """The peak memory of a build in MiB, and the records it read."""
    recipe = {"sources": [{"name": "s", "files": [path.name]}], "steps": steps}
    written = write_recipe(folder, recipe, f"{path.name}.yaml")
    command = [sys.executable, "-c", _PEAK, str(written), str(folder / f"{path.name}.out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kilobytes, records = map(int, done.stdout.split())
    return kilobytes // 1024, records


@pytest.mark.parametrize(
    ("form", "steps"),
    [
        ("lines", []),
        ("lines", ["exact_duplicates"]),
        ("array", []),
        ("gzip", []),
    ],
)
def test_ten_times_the_input_takes_the_same_memory(lines, place, form, steps):
    found = {}
    for times in (1, REPEATS):
        path = place / f"{times}.json"
        _write(path, lines, times, form)
        found[times], records = peak(place, path, steps)
        assert records == ROWS * times
    assert found[REPEATS] <= found[1] * 1.15 + 10, found


def _write(path: Path, lines: bytes, times: int, form: str) -> None:
    with open(path, "wb") as file:
        if form == "array":
            elements = lines[:-1].replace(b"\n", b",\n")
            file.write(b"[" + elements)
            file.writelines(b",\n" + elements for _ in range(times - 1))
            file.write(b"]")
        else:
            piece = gzip.compress(lines, 1, mtime=0) if form == "gzip" else lines
            file.writelines(piece for _ in range(times))
