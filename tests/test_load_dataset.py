"""`datasets.load_dataset` on the folder, without a network, gives the Dolly columns."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

import dollymix
from tests.laws.builds import DOLLY_KEYS, Build, scratch, write_recipe

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="needs datasets: pip install datasets"
)

_LOAD = """
import json, sys
import datasets
datasets.disable_progress_bars()
found = datasets.load_dataset(*sys.argv[1:])
print(json.dumps({name: [split.column_names, split.to_list()] for name, split in found.items()}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Texts that tools trip over, in two splits, as lines and as Parquet."""
    folder = tmp_path_factory.mktemp("load")
    texts = ["\u2028", "12", "2020-01-01", "\x00", "😀", "null", 'a "b"', "x" * 100_000]
    rows = [{"instruction": f"{t}?", "input": t, "output": f"{t}!"} for t in texts * 4]
    (folder / "odd.json").write_text(json.dumps(rows))
    recipe = {"sources": [{"name": "odd", "files": ["odd.json"], "licence": "cc0-1.0"}]}
    recipe["splits"] = {"train": 0.6, "validation": 0.4}
    recipe["outputs"] = [{"format": "jsonl"}, {"format": "parquet"}]
    dollymix.merge(write_recipe(folder, recipe), folder / "out", workers=1)
    return folder / "out"


def load(*arguments):
    """What `load_dataset` gives, in a process without a network and with a cache of its own."""
    with scratch() as home:
        environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        environment |= {"HF_DATASETS_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("config", [[], ["dolly-parquet"]], ids=["no argument", "dolly-parquet"])
def test_the_four_columns_and_the_splits_are_there(built, config):
    found = load(built, *config)
    build = Build(built)
    assert {name: len(rows) for name, (_, rows) in found.items()} == build.manifest["splits"]
    for name, (columns, rows) in found.items():
        assert columns == DOLLY_KEYS
        assert rows == build.lines[f"{name}/00000"]


def test_a_plain_build_of_one_split_loads(examples, tmp_path):
    dollymix.merge([examples / "data" / "alpaca"], tmp_path / "out", workers=1)
    found = load(tmp_path / "out")
    assert list(found) == ["train"]
    assert found["train"][0] == DOLLY_KEYS
    assert found["train"][1] == Build(tmp_path / "out").lines["train/00000"]
