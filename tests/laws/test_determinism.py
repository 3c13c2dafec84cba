"""Law 2: the output bytes follow from recipe, input bytes and versions, and from nothing else."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dollymix
from tests.laws.builds import Build, contents, digests, scratch, write_recipe
from tests.laws.strategies import (
    FORMATS,
    UNIT_BYTES,
    Case,
    cases,
    good_records,
    packed,
    zipped,
)

FEW = settings(max_examples=max(5, settings().max_examples // 5))


def same_everywhere(case: Case, folder: Path, ways: list[tuple[int, int]]) -> None:
    """Build a case in several ways; every file but the log is the same each time."""
    recipe = case.write(folder)
    expected: dict[str, bytes] = {}
    for number, (workers, unit_bytes) in enumerate(ways):
        out = folder / f"out{number}"
        dollymix.merge(recipe, out, workers=workers, unit_bytes=unit_bytes, allow_empty=True)
        found = contents(out)
        expected = expected or found
        different = [name for name in found | expected if found.get(name) != expected.get(name)]
        assert different == [], (workers, unit_bytes)


@given(cases())
def test_the_unit_size_does_not_show(case):
    with scratch() as folder:
        same_everywhere(case, folder, [(1, unit_bytes) for unit_bytes in UNIT_BYTES])


@FEW
@given(cases(), st.sampled_from(UNIT_BYTES))
def test_the_number_of_workers_does_not_show(case, unit_bytes):
    with scratch() as folder:
        same_everywhere(case, folder, [(1, 1 << 20), (2, unit_bytes)])


@pytest.mark.parametrize("unit_bytes", UNIT_BYTES)
def test_the_bundled_samples_give_the_same_set_with_two_workers(examples, place, unit_bytes):
    dollymix.merge(examples / "recipe.yaml", place / "one", workers=1)
    unit_bytes = max(unit_bytes, 100)
    dollymix.merge(examples / "recipe.yaml", place / "two", workers=2, unit_bytes=unit_bytes)
    assert digests(place / "one") == digests(place / "two")


def test_the_place_the_clock_and_the_working_directory_do_not_show(examples, place):
    there = place / "elsewhere" / "deep"
    shutil.copytree(examples, there)
    for path in there.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    dollymix.merge(examples / "recipe.yaml", place / "here", workers=1)
    command = [sys.executable, "-m", "dollymix", "merge", "recipe.yaml", "-o", "../out", "--quiet"]
    subprocess.run([*command, "--workers", "2"], cwd=there, check=True, stdout=subprocess.DEVNULL)
    assert digests(place / "here") == digests(place / "elsewhere" / "out")


def test_bare_paths_from_another_working_directory_give_the_same_set(examples, place, monkeypatch):
    data = examples / "data" / "kovicuna"
    dollymix.merge([data], place / "absolute", workers=1)
    monkeypatch.chdir(data.parent)
    dollymix.merge(["kovicuna"], place / "relative", workers=1)
    assert digests(place / "absolute") == digests(place / "relative")


def test_an_earlier_build_in_the_same_place_does_not_show(examples, place):
    dollymix.merge([examples / "data" / "alpaca"], place / "out", workers=1)
    dollymix.merge(examples / "recipe.yaml", place / "out", workers=1)
    dollymix.merge(examples / "recipe.yaml", place / "new", workers=1)
    assert digests(place / "out") == digests(place / "new")


@given(st.data(), st.sampled_from(FORMATS), st.sampled_from(UNIT_BYTES))
def test_framing_and_packing_do_not_change_the_lines(data, form, unit_bytes):
    texts = data.draw(st.lists(good_records(form), min_size=1, max_size=6))
    lines = "\n".join(texts).encode()
    ways = {
        "lines.jsonl": lines,
        "array.json": f"[{', '.join(texts)}]".encode(),
        "indented.json": json.dumps([json.loads(t) for t in texts], indent=2).encode(),
        "bom.json": b"\xef\xbb\xbf" + lines + b"\r\n",
        "utf16.json": ("\ufeff[" + ",\n".join(texts) + "]").encode("utf-16-le"),
        "lines.gz": packed(lines, "gzip of two members"),
        "lines.zst": packed(lines, "zstd"),
        "a.zip": zipped({"a.json": f"[{','.join(texts)}]".encode()}),
    }
    with scratch() as folder:
        found = {}
        for name, content in ways.items():
            (folder / name).write_bytes(content)
            out = folder / f"{name}.out"
            dollymix.merge([folder / name], out, workers=1, unit_bytes=unit_bytes)
            found[name] = (out / "dolly" / "train" / "00000.jsonl").read_bytes()
    assert set(found.values()) == {found["lines.jsonl"]}


def test_no_output_but_the_log_knows_machine_time_or_workers(examples, place):
    recipe = json.loads(json.dumps({"name": "kovicuna", "licence": "cc0-1.0"}))
    recipe["files"] = [str(examples / "data" / "kovicuna" / "ko_dataset.json")]
    written = write_recipe(place, {"sources": [recipe], "splits": {"train": 0.9, "test": 0.1}})
    dollymix.merge(written, place / "out", workers=2, formats=["jsonl", "parquet"])
    secrets = {str(examples), str(place), str(Path.home()), os.getcwd()}
    secrets |= {socket.gethostname()} - {"localhost", ""}
    for name, data in contents(place / "out").items():
        text = data.decode("utf-8", errors="replace")
        told = [secret for secret in secrets if len(secret) > 4 and secret in text]
        assert told == [], name
        if name not in ("README.md", "manifest.json", "ledger.json"):
            continue
        assert not re.search(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]", text), name
        assert "workers" not in text, name
    assert Build(place / "out").manifest["recipe"]["sources"][0]["files"] == ["ko_dataset.json"]


def test_a_recipe_of_absolute_paths_has_the_same_digest_on_another_machine(examples, place):
    digests_found = []
    for name in ("a", "b"):
        folder = place / name
        folder.mkdir()
        path = folder / "x.json"
        shutil.copy(examples / "data" / "alpaca" / "ko_alpaca_data.json", path)
        recipe = write_recipe(folder, {"sources": [{"name": "x", "files": [str(path)]}]})
        dollymix.merge(recipe, folder / "out", workers=1)
        digests_found.append(digests(folder / "out"))
    assert digests_found[0] == digests_found[1]
