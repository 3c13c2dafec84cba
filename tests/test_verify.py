"""`verify` finds any change to a finished build, and names the file."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dollymix
from tests.laws import profiles  # noqa: F401  (loads the profile)
from tests.laws.builds import LOG, contents, run_command, scratch, write_recipe, write_rows


def build(folder: Path) -> Path:
    """A build in which every kind of file has something in it."""
    write_rows(folder / "a.jsonl", 40)
    write_rows(folder / "b.jsonl", 20, first=30)
    with open(folder / "b.jsonl", "a", encoding="utf-8") as file:
        file.write('{"instruction": "q", "output": ""}\n{"instruction": "q", "output": "a"}\n')
    recipe = {"sources": [{"name": n, "files": [f"{n}.jsonl"]} for n in ("a", "b")]}
    recipe["steps"] = ["exact_duplicates"]
    recipe["splits"] = {"train": 0.5, "test": 0.5}
    recipe["outputs"] = [{"format": "jsonl"}, {"format": "parquet"}, {"view": "alpaca"}]
    dollymix.merge(write_recipe(folder, recipe), folder / "out", workers=1)
    return folder / "out"


@pytest.fixture
def place():
    """A folder for one test."""
    with scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def whole():
    """A build that holds."""
    with scratch() as folder:
        yield build(folder)


@pytest.fixture
def copy(whole):
    """A copy of it that a test may spoil."""
    with scratch() as folder:
        shutil.copytree(whole, folder / "out")
        yield folder / "out"


def named(folder: Path, name: str) -> bool:
    """True where verify names the file in a fault."""
    return any(name in fault for fault in dollymix.verify(folder).faults)


def test_a_build_holds(whole):
    report = dollymix.verify(whole)
    assert (report.faults, report.notes) == ([], [])
    assert report.checked >= len(contents(whole)) - 1


def test_a_build_without_a_loss_holds(place):
    write_rows(place / "a.jsonl", 3)
    dollymix.merge([place / "a.jsonl"], place / "out", workers=1)
    assert dollymix.verify(place / "out").faults == []


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_anywhere_is_found_and_its_file_named(whole, data):
    # The manifest has a test of its own, since it cannot hold its own digest.
    name = data.draw(st.sampled_from(sorted(contents(whole).keys() - {"manifest.json"})))
    flip_and_look(whole, name, data)


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_of_the_manifest_is_found(whole, data):
    flip_and_look(whole, "manifest.json", data)


def flip_and_look(whole, name, data):
    """Flip a bit of the file; verify must name it."""
    path = whole / name
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(before)
    changed[at] ^= 1 << bit
    try:
        path.write_bytes(changed)
        assert named(whole, name), (name, at, before[at : at + 1], changed[at : at + 1])
    finally:
        path.write_bytes(before)


def test_a_missing_a_shorter_and_a_further_file_are_named(copy):
    for name in contents(copy):
        if name == "manifest.json":
            continue
        data = (copy / name).read_bytes()
        (copy / name).unlink()
        assert named(copy, name), name
        (copy / name).write_bytes(data[:-1])
        assert named(copy, name), name
        (copy / name).write_bytes(data + b"\n")
        assert named(copy, name), name
        (copy / name).write_bytes(data)
    for name in ("dolly/train/00001.jsonl", "extra.txt", ".hidden"):
        (copy / name).write_bytes(b"{}\n")
        assert named(copy, name), name
        (copy / name).unlink()
    assert dollymix.verify(copy).faults == []


def test_shards_that_change_places_are_named(copy):
    for form, ending in (("dolly", "jsonl"), ("lineage", "parquet"), ("dolly-parquet", "parquet")):
        train, test = (copy / form / split / f"00000.{ending}" for split in ("train", "test"))
        train.rename(copy / "moved")
        test.rename(train)
        (copy / "moved").rename(test)
        assert named(copy, f"{form}/train/00000.{ending}")
        assert named(copy, f"{form}/test/00000.{ending}")


def forge(folder: Path, name: str, data: bytes) -> None:
    """Change a file, and all digests that tell of it, as one would who wants to deceive."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for entry in manifest["outputs"]:
        if entry["file"] == name:
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["sha256"] = ""
    body = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
    manifest["sha256"] = hashlib.sha256(body).hexdigest()
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def test_the_forger_of_these_tests_leaves_no_trace(copy):
    forge(copy, "ledger.json", (copy / "ledger.json").read_bytes())
    assert dollymix.verify(copy).faults == []


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("records", 1),
        ("parts", -1),
        ("parts_used", 1),
        ("parts_rejected", 1),
        ("written", 1),
        ("examples", 1),
        ("only_rejected", 1),
    ],
)
def test_a_ledger_whose_numbers_were_edited_is_found(copy, key, change):
    ledger = json.loads((copy / "ledger.json").read_bytes())
    ledger["sources"]["b"][key] += change
    forge(copy, "ledger.json", json.dumps(ledger).encode())
    assert named(copy, "ledger.json")


def test_a_ledger_that_balances_but_is_not_that_of_the_files_is_found(copy):
    ledger = json.loads((copy / "ledger.json").read_bytes())
    books = ledger["sources"]["b"]
    books["written"] += 1
    books["duplicate"]["duplicate.exact"] -= 1
    forge(copy, "ledger.json", json.dumps(ledger).encode())
    assert named(copy, "ledger.json")


def test_a_total_that_is_not_the_sum_is_found(copy):
    ledger = json.loads((copy / "ledger.json").read_bytes())
    ledger["total"]["written"] += 1
    forge(copy, "ledger.json", json.dumps(ledger).encode())
    assert named(copy, "ledger.json")


def test_a_line_taken_out_of_all_the_books_of_its_shard_is_found(copy):
    name = "dolly/train/00000.jsonl"
    lines = (copy / name).read_bytes().splitlines(keepends=True)
    forge(copy, name, b"".join(lines[:-1]))
    assert dollymix.verify(copy).faults != []


def test_rejects_taken_away_are_found(copy):
    forge(copy, "rejects.jsonl", b"")
    assert named(copy, "rejects.jsonl")


def test_an_input_that_was_changed_is_named_and_one_that_is_gone_is_noted(place):
    out = build(place)
    with open(place / "a.jsonl", "a") as file:
        file.write("\n")
    assert named(out, "a.jsonl")
    (place / "a.jsonl").unlink()
    report = dollymix.verify(out)
    assert report.faults == []
    assert any("a.jsonl" in note for note in report.notes)


def test_without_its_log_a_build_still_holds(copy):
    (copy / LOG).unlink()
    report = dollymix.verify(copy)
    assert report.faults == []
    assert report.notes


def test_a_manifest_that_cannot_be_read_is_a_fault(copy):
    for data in (b"", b"{", b"[]", b'{"schema": 1}', b"\xff", b'{"schema": 999}'):
        (copy / "manifest.json").write_bytes(data)
        assert dollymix.verify(copy).faults


def test_what_is_no_build_is_refused(place):
    for path in (place, place / "none"):
        with pytest.raises(dollymix.UsageError):
            dollymix.verify(path)


def test_the_command_says_so_with_its_status(copy):
    assert run_command("verify", str(copy)).returncode == 0
    with open(copy / "README.md", "a") as file:
        file.write("x")
    spoiled = run_command("verify", str(copy))
    assert spoiled.returncode == 1
    assert "README.md" in spoiled.stdout + spoiled.stderr
    assert run_command("verify", str(copy.parent)).returncode == 2
