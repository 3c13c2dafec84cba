"""`verify` finds any change to a finished build, and names the file."""

import bz2
import csv
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dollymix
from tests.laws import profiles  # noqa: F401  (loads the profile)
from tests.laws.builds import (
    LOG,
    contents,
    json_lines,
    run_command,
    scratch,
    write_recipe,
    write_rows,
    zstd,
)


def build(folder: Path) -> Path:
    """A build in which every kind of file has something in it."""
    write_rows(folder / "a.jsonl", 40)
    write_rows(folder / "b.jsonl", 20, first=30)
    with open(folder / "b.jsonl", "a", encoding="utf-8") as file:
        file.write('{"instruction": "q", "output": ""}\n{"instruction": "q", "output": "a"}\n')
        file.write("no json\n")
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
        assert named(copy, f": it holds what {form}/test/00000.{ending} should")


def forge(folder: Path, name: str, data: bytes) -> None:
    """Change a file, and all digests that tell of it, as one would who wants to deceive."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for entry in manifest["outputs"]:
        if entry["file"] == name:
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    seal(folder, manifest)


def seal(folder: Path, manifest: dict) -> None:
    """Write a manifest, with the digest that it holds of itself."""
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
    quick = run_command("verify", str(copy), "--quick")
    assert quick.returncode == 0
    assert "a changed byte is not found" in quick.stderr
    with open(copy / "README.md", "a") as file:
        file.write("x")
    spoiled = run_command("verify", str(copy))
    assert spoiled.returncode == 1
    assert "README.md" in spoiled.stdout + spoiled.stderr
    assert run_command("verify", str(copy.parent)).returncode == 2


# --- rows ------------------------------------------------------------------------------------

SHARD = "dolly/train/00000.jsonl"


def lines_of(folder: Path) -> list[bytes]:
    """The lines of the training shard."""
    return (folder / SHARD).read_bytes().splitlines(keepends=True)


def rows_named(folder: Path, lines: list[bytes]) -> str:
    """The one fault of a build whose training shard has these lines, by digest and when forged."""
    (folder / SHARD).write_bytes(b"".join(lines))
    (fault,) = dollymix.verify(folder).faults
    assert fault.startswith(f"{SHARD}: ")
    forge(folder, SHARD, b"".join(lines))
    assert fault.rpartition(": ")[2] in dollymix.verify(folder).faults[0]
    return fault


def test_the_rows_of_edited_lines_are_named(copy):
    lines = lines_of(copy)
    for row in (3, 7):
        lines[row] = lines[row].replace(b"answer", b"Answer")
    assert rows_named(copy, lines).endswith(": row 3, row 7")


def test_of_many_edited_lines_the_first_are_named(copy):
    lines = [line.replace(b"answer", b"Answer") for line in lines_of(copy)]
    named_rows = rows_named(copy, lines)
    assert named_rows.endswith(f": row 0, row 1, row 2, row 3, row 4 and {len(lines) - 5} more")


def test_lines_that_change_places_are_named_with_the_row_each_has(copy):
    lines = lines_of(copy)
    lines[2], lines[6] = lines[6], lines[2]
    assert rows_named(copy, lines).endswith(": row 2 (it has row 6), row 6 (it has row 2)")


def test_a_line_that_is_gone_is_named(copy):
    lines = lines_of(copy)
    assert rows_named(copy, lines[:4] + lines[6:]).endswith(": rows 4 to 5 are missing")


def test_the_last_line_that_is_gone_is_named(copy):
    lines = lines_of(copy)
    assert rows_named(copy, lines[:-1]).endswith(f": row {len(lines) - 1} is missing")


def test_a_line_that_was_put_in_is_named(copy):
    lines = lines_of(copy)
    assert rows_named(copy, [*lines[:4], lines[0], *lines[4:]]).endswith(": row 4 is no part of it")


def test_a_line_that_is_cut_off_is_named(copy):
    lines = lines_of(copy)
    assert f": row {len(lines) - 1}" in rows_named(copy, [*lines[:-1], lines[-1][:-5]])


def test_a_line_without_its_end_is_found(copy):
    (copy / SHARD).write_bytes((copy / SHARD).read_bytes()[:-1])
    assert named(copy, SHARD)
    forge(copy, SHARD, (copy / SHARD).read_bytes())
    assert dollymix.verify(copy).faults[0].endswith(f": row {len(lines_of(copy)) - 1}")


@pytest.mark.parametrize("form", ["lineage", "dolly-parquet"])
def test_the_row_group_of_a_changed_byte_is_named(place, monkeypatch, form):
    monkeypatch.setattr("dollymix.lineage.ROW_GROUP", 10)
    monkeypatch.setattr("dollymix.views.ROW_GROUP", 10)
    write_rows(place / "a.jsonl", 40)
    dollymix.merge([place / "a.jsonl"], place / "out", workers=1, formats=["jsonl", "parquet"])
    name = f"{form}/train/00000.parquet"
    with pq.ParquetFile(place / "out" / name) as table:
        column = table.metadata.row_group(2).column(0)
    data = bytearray((place / "out" / name).read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    (place / "out" / name).write_bytes(data)
    (fault,) = dollymix.verify(place / "out").faults
    assert fault == f"{name}: its bytes were changed: row group 2 is broken"


def test_a_broken_row_of_the_rejects_is_named(copy):
    data = (copy / "rejects.jsonl").read_bytes()
    (copy / "rejects.jsonl").write_bytes(b"x" + data[1:])
    assert dollymix.verify(copy).faults[0].endswith("row 0 is broken")


# --- garbage ---------------------------------------------------------------------------------


def test_two_hundred_changed_bytes_are_found_and_no_other_file_is_accused(whole):
    chance = random.Random(0)
    names = sorted(p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file())
    for _ in range(200):
        name = chance.choice(names)
        before = (whole / name).read_bytes()
        changed = bytearray(before)
        changed[chance.randrange(len(before))] ^= chance.randrange(1, 256)
        (whole / name).write_bytes(changed)
        try:
            faults = dollymix.verify(whole).faults
        finally:
            (whole / name).write_bytes(before)
        assert faults, name
        if name != "manifest.json":
            assert all(fault.startswith(name) for fault in faults), (name, faults)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def as_link(path: Path) -> None:
    path.rename(path.parents[2] / "elsewhere")
    path.symlink_to(path.parents[2] / "elsewhere")


def as_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def as_own_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


def as_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def as_noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def as_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def as_brackets(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def as_huge(path: Path) -> None:
    os.truncate(path, 1 << 40)


KINDS = [
    as_folder, as_pipe, as_socket, as_link, as_dangling_link, as_own_link, as_nothing, as_half,
    as_noise, as_zeros, as_brackets, as_huge,
]  # fmt: skip
FILES = [
    SHARD, "lineage/train/00000.parquet", "dolly-parquet/train/00000.parquet",
    "alpaca/train/00000.jsonl", "rejects.jsonl", "dropped.jsonl.zst", "ledger.json", "README.md",
    "manifest.json", LOG,
]  # fmt: skip


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("change", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_whatever_becomes_of_a_file_it_is_named(whole, name, change, quick):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x" / "out"
        shutil.copytree(whole, out)
        change(out / name)
        same_size = change in (as_noise, as_zeros)
        try:
            faults = dollymix.verify(out, quick=quick).faults
        except dollymix.UsageError:
            # Without a manifest a folder is no build.
            assert name == "manifest.json"
            assert change is as_dangling_link
            return
        read_by_quick = name.endswith(".parquet") or name in ("ledger.json", "manifest.json", LOG)
        if quick and same_size and not read_by_quick:
            assert faults == []
            return
        assert any(fault.startswith(f"{name}: ") for fault in faults), faults
        assert all(fault.isprintable() for fault in faults)


def test_a_folder_that_is_a_link_or_foreign_is_named_and_not_looked_into(copy):
    (copy / "alpaca").rename(copy.parent / "alpaca")
    (copy / "alpaca").symlink_to(copy.parent / "alpaca")
    (copy / "mine" / "deep").mkdir(parents=True)
    (copy / "mine" / "deep" / "file").write_text("x")
    faults = dollymix.verify(copy).faults
    assert "alpaca: is a link, and no file of this build" in faults
    assert "alpaca/train/00000.jsonl: is missing" in faults
    assert "mine: is a folder, and no file of this build" in faults
    assert not any("deep" in fault for fault in faults)


def test_names_that_no_terminal_may_see_are_shown_as_escapes(copy):
    (copy / "a\x1b[31m\n.txt").write_text("x")
    os.close(os.open(os.fsencode(copy) + b"/\xff", os.O_CREAT))
    faults = dollymix.verify(copy).faults
    assert len(faults) == 2
    assert all(fault.isprintable() for fault in faults)


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "../../../../etc/passwd", "/etc/passwd", "dolly/../../outside", "./README.md",
        "dolly//train/00000.jsonl", "", ".", "..", "README.md\0", "manifest.json", LOG,
    ],
)  # fmt: skip
def test_a_name_in_the_manifest_that_leaves_the_folder_is_refused(copy, name):
    # What it leads to has the digest that is told: whoever followed it would find no fault.
    data = b"secret"
    (copy.parent / "outside").write_bytes(data)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    digest = hashlib.sha256(data).hexdigest()
    manifest["outputs"].append({"file": name, "bytes": len(data), "sha256": digest})
    seal(copy, manifest)
    for quick in (False, True):
        (fault,) = dollymix.verify(copy, quick=quick).faults
        assert fault.startswith("manifest.json: lists ")
        assert fault.isprintable()


def test_a_manifest_that_lists_a_file_twice_or_lacks_one_is_found(copy):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    first = manifest["outputs"][0]
    manifest["outputs"].append(first)
    seal(copy, manifest)
    assert dollymix.verify(copy).faults == [f"manifest.json: lists {first['file']} 2 times"]
    manifest["outputs"] = [o for o in manifest["outputs"][:-1] if o["file"] != "ledger.json"]
    seal(copy, manifest)
    assert dollymix.verify(copy).faults == [
        "manifest.json: does not list ledger.json, which every build has",
        "ledger.json: is no part of this build",
    ]


def put(entry: dict, name: str, value: object) -> None:
    """Set a value of a manifest's first input."""
    entry["inputs"][0][name] = value


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: put(m, "records", 1 << 61),
        lambda m: put(m, "records", -1),
        lambda m: put(m, "records", 10**30),
        lambda m: put(m, "records", "many"),
        lambda m: put(m, "empty", 3),
        lambda m: put(m, "examples", 0),
        lambda m: put(m, "examples_xxh3", "0" * 16),
        lambda m: put(m, "rejects", 1),
        lambda m: put(m, "rejects_xxh3", "f" * 16),
        lambda m: put(m, "parts", 1),
        lambda m: put(m, "file", "\0x"),
        lambda m: put(m, "file", "other.jsonl"),
        lambda m: put(m, "compression", "rar"),
        lambda m: put(m, "bytes", 1 << 70),
        lambda m: m.update(splits={"train": 1}),
        lambda m: m.update(splits={"train": -1}),
        lambda m: m.update(outputs=[]),
        lambda m: m.update(inputs=[]),
        lambda m: m.update(schema=10**40),
        lambda m: m.update(recipe=[]),
    ],
)
def test_a_manifest_with_other_values_is_found_even_with_its_digest_right(copy, spoil):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    spoil(manifest)
    seal(copy, manifest)
    assert dollymix.verify(copy).faults


def test_a_manifest_of_a_later_version_with_more_fields_holds(copy):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["later"] = {"a": [1, 2.5, None]}
    manifest["inputs"][0]["later"] = "b"
    seal(copy, manifest)
    assert dollymix.verify(copy).faults == []


# --- the partition law -----------------------------------------------------------------------


def edit_lineage(folder: Path, change: Callable[[Any], Any], split: str = "train") -> None:
    """Change the table of lineage of a split, and its digest with it."""
    name = f"lineage/{split}/00000.parquet"
    table = change(pq.read_table(folder / name))
    pq.write_table(table, folder / "changed", compression="zstd")
    data = (folder / "changed").read_bytes()
    (folder / "changed").unlink()
    forge(folder, name, data)


def set_values(name: str, values: dict[int, Any]) -> Callable[[Any], Any]:
    """A change of some rows of one column."""

    def change(table):
        column = table.column(name).to_pylist()
        for row, value in values.items():
            column[row] = value
        at = table.schema.get_field_index(name)
        return table.set_column(
            at, table.schema.field(name), pa.array(column, table.schema.types[at])
        )

    return change


def edit_rows(folder: Path, name: str, change: Callable[[list[dict]], Any]) -> None:
    """Change the rows of rejects or dropped, and the digest with them."""
    data = (folder / name).read_bytes()
    rows = json_lines(zstd.decompress(data) if name.endswith(".zst") else data)
    change(rows)
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    forge(folder, name, zstd.compress(body) if name.endswith(".zst") else body)


def test_the_editors_of_these_tests_leave_no_trace(copy):
    edit_lineage(copy, lambda table: table)
    edit_rows(copy, "rejects.jsonl", list)
    edit_rows(copy, "dropped.jsonl.zst", list)
    assert dollymix.verify(copy).faults == []


def test_a_row_of_lineage_that_says_another_record_is_named(copy):
    record = pq.read_table(copy / "lineage/train/00000.parquet").column("record")[5].as_py()
    edit_lineage(copy, set_values("record", {5: 999}))
    faults = dollymix.verify(copy).faults
    assert any("is not that of its row's columns" in fault for fault in faults)
    assert "a/a.jsonl#999: is behind the last record that was read" in faults
    assert f"a/a.jsonl#{record}: is neither written, rejected nor dropped" in faults


def test_an_origin_that_stands_twice_is_named_and_so_is_the_one_that_is_gone(copy):
    table = pq.read_table(copy / "lineage/train/00000.parquet")
    gone = table.column("id")[5].as_py()
    record, identity = table.column("record")[4].as_py(), table.column("id")[4].as_py()
    edit_lineage(copy, set_values("record", {5: record}))
    edit_lineage(copy, set_values("id", {5: identity}))
    faults = dollymix.verify(copy).faults
    assert f"{identity}: stands in two places" in faults
    assert f"{gone}: is neither written, rejected nor dropped" in faults


def test_rows_of_lineage_that_change_their_origins_are_found(copy):
    # Every count stays right; the ids are those that were read, but two lines swapped theirs.
    table = pq.read_table(copy / "lineage/train/00000.parquet")
    for name in ("id", "record", "byte_start", "byte_end"):
        four, five = (table.column(name)[row].as_py() for row in (4, 5))
        edit_lineage(copy, set_values(name, {4: five, 5: four}))
    edit_lineage(copy, set_values("line_xxh3", {4: 1}))
    assert dollymix.verify(copy).faults[0].endswith("was written with: row 4")


def test_lineage_of_a_file_that_is_no_input_is_named(copy):
    edit_lineage(copy, set_values("file", {3: "other.jsonl"}))
    assert any("its file is no input of the build" in f for f in dollymix.verify(copy).faults)


@pytest.mark.parametrize("name", ["rejects.jsonl", "dropped.jsonl.zst"])
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(),
        lambda rows: rows.append(rows[0]),
        lambda rows: rows[0].update(record=999),
        lambda rows: rows[0].update(record=-1),
        lambda rows: rows[0].update(record=1 << 62),
        lambda rows: rows[0].update(record="x"),
        lambda rows: rows[0].update(source="other"),
        lambda rows: rows[0].update(source="a"),
        lambda rows: rows[0].update(file="other"),
        lambda rows: rows[0].update(id="x"),
        lambda rows: rows[0].update(reason="other"),
        lambda rows: rows[0].pop("record"),
        lambda rows: rows.clear(),
        lambda rows: rows.append(7),
    ],
)
def test_a_reject_or_drop_that_is_changed_with_its_digest_is_found(copy, name, change):
    edit_rows(copy, name, change)
    assert dollymix.verify(copy).faults


def swap_records(rows):
    """Let two rows change their records, and keep their ids."""
    rows[0]["record"], rows[1]["record"] = rows[1]["record"], rows[0]["record"]


@pytest.mark.parametrize("name", ["rejects.jsonl", "dropped.jsonl.zst"])
def test_rows_whose_fields_are_not_those_of_their_ids_are_named(copy, name):
    # All counts, all ids and all records are those that were read.
    edit_rows(copy, name, swap_records)
    faults = dollymix.verify(copy).faults
    assert len(faults) == 2
    assert all(f"{name}, id b/b.jsonl#" in fault for fault in faults)


def test_of_many_faults_of_one_kind_the_first_are_named(place):
    (place / "a.jsonl").write_text("no json\n" * 30 + '{"instruction": "q", "output": "a"}\n')
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}]}
    dollymix.merge(write_recipe(place, recipe), place / "out", workers=1)

    def rename(rows):
        for row in rows:
            row["id"] += "0"

    edit_rows(place / "out", "rejects.jsonl", rename)
    faults = dollymix.verify(place / "out").faults
    wrong = [fault for fault in faults if fault.endswith("is not that of its row's fields")]
    assert wrong == [
        f"rejects.jsonl, id s/a.jsonl#{n}0: is not that of its row's fields" for n in range(10)
    ]


def test_lineage_without_rows_beside_lines_is_found(copy):
    edit_lineage(copy, lambda table: table.slice(0, 0))
    assert named(copy, "lineage/train/00000.parquet")


def test_a_drop_with_another_outcome_is_found(copy):
    edit_rows(copy, "dropped.jsonl.zst", lambda rows: rows[0].update(outcome="filtered"))
    assert named(copy, "ledger.json")
    edit_rows(copy, "dropped.jsonl.zst", lambda rows: rows[0].update(outcome="not_sampled"))
    told = "b: not_sampled is 0, but dropped.jsonl.zst has 1"
    assert f"ledger.json: {told}" in dollymix.verify(copy).faults
    edit_rows(copy, "dropped.jsonl.zst", lambda rows: rows[0].update(outcome="eaten"))
    assert named(copy, "dropped.jsonl.zst")


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1" * 100, b"x" * 1000, b"\x28\xb5\x2f\xfd" * 9]
)
@pytest.mark.parametrize("name", [n for n in FILES if n not in ("manifest.json", LOG, "README.md")])
def test_garbage_with_its_digest_right_is_a_fault_and_no_crash(copy, name, data):
    forge(copy, name, data)
    assert dollymix.verify(copy).faults
    if name not in ("rejects.jsonl", "dropped.jsonl.zst", "alpaca/train/00000.jsonl", SHARD):
        assert dollymix.verify(copy, quick=True).faults


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["record"]),
        lambda table: table.drop_columns(["line_xxh3"]),
        lambda table: table.rename_columns([f"x{name}" for name in table.column_names]),
        lambda table: table.slice(0, 0),
        set_values("record", {1: None}),
        set_values("source", {1: None}),
        set_values("path", {1: None}),
        set_values("line_xxh3", {1: None}),
        lambda table: table.set_column(3, "record", table.column("id")),
        lambda table: table.set_column(1, "source", table.column("record")),
        set_values("byte_start", {1: -5}),
        set_values("byte_end", {1: 1 << 60}),
        set_values("copy", {1: 1}),
        set_values("copy", {1: -1}),
    ],
)
def test_lineage_of_another_shape_is_a_fault_and_no_crash(copy, change):
    edit_lineage(copy, change)
    assert dollymix.verify(copy).faults


# --- the log ---------------------------------------------------------------------------------


def test_the_log_holds_its_own_digest(copy):
    log = (copy / LOG).read_bytes()
    for change in (log[:-1], log + b"\n", log[log.index(b"\n") + 1 :], log.replace(b"Z", b"X")):
        (copy / LOG).write_bytes(change)
        assert dollymix.verify(copy).faults[0].startswith(f"{LOG}: its bytes were changed")
    *before, _ = log.splitlines(keepends=True)
    (copy / LOG).write_bytes(b"".join(before))
    assert named(copy, LOG)


def test_the_log_of_another_build_is_found(copy, place):
    write_rows(place / "c.jsonl", 3)
    dollymix.merge([place / "c.jsonl"], place / "out", workers=1)
    (copy / LOG).write_bytes((place / "out" / LOG).read_bytes())
    assert dollymix.verify(copy).faults == [
        f"{LOG}: does not name the inputs that manifest.json names"
    ]


def test_a_build_of_the_first_version_holds_with_notes_on_what_it_did_not_write(copy):
    manifest = json.loads((copy / "manifest.json").read_bytes())
    for entry in manifest["inputs"]:
        for name in ("records", "parts", "empty", "examples", "rejects"):
            del entry[name]
        del entry["examples_xxh3"], entry["rejects_xxh3"]
    seal(copy, manifest)
    for split in ("train", "test"):
        edit_lineage(copy, lambda table: table.drop_columns(["line_xxh3"]), split)
    *before, _ = (copy / LOG).read_bytes().splitlines(keepends=True)
    (copy / LOG).write_bytes(b"".join(before))
    report = dollymix.verify(copy)
    assert report.faults == []
    assert {note.partition(":")[0] for note in report.notes} == {"manifest.json", LOG}
    (copy / LOG).write_bytes(b"".join(before)[1:])
    assert dollymix.verify(copy).faults == [f"{LOG}: its bytes were changed, row 0 is broken"]


# --- quickly ---------------------------------------------------------------------------------


def test_quick_finds_what_names_sizes_and_counts_tell_and_says_what_it_does_not(copy):
    report = dollymix.verify(copy, quick=True)
    assert report.faults == []
    assert any("a changed byte is not found" in note for note in report.notes)
    data = bytearray((copy / SHARD).read_bytes())
    data[5] ^= 1
    (copy / SHARD).write_bytes(data)
    assert dollymix.verify(copy, quick=True).faults == []
    (copy / SHARD).write_bytes(data[:-1])
    (copy / "extra").write_bytes(b"")
    (copy / "README.md").unlink()
    found = {fault.partition(":")[0] for fault in dollymix.verify(copy, quick=True).faults}
    assert found == {SHARD, "extra", "README.md"}


@pytest.mark.parametrize("key", ["records", "parts", "empty", "examples", "written"])
def test_quick_finds_a_ledger_that_is_not_that_of_the_manifest(copy, key):
    ledger = json.loads((copy / "ledger.json").read_bytes())
    ledger["sources"]["b"][key] += 1
    forge(copy, "ledger.json", json.dumps(ledger).encode())
    found = dollymix.verify(copy, quick=True).faults
    where = "lines are" if key == "written" else "but its files have"
    assert any(f"{key} is " in fault and where in fault for fault in found)


def test_quick_finds_an_input_of_another_size(place):
    out = build(place)
    assert dollymix.verify(out, quick=True).faults == []
    with open(place / "a.jsonl", "a") as file:
        file.write("\n")
    assert dollymix.verify(out, quick=True).faults[0].startswith("a/a.jsonl: the input has ")


# --- the inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", ["none", "gzip", "zstd", "zip"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949"])
@pytest.mark.parametrize("framing", ["jsonl", "array"])
def test_the_records_of_every_kind_of_input_are_found_where_lineage_says(
    place, pack, encoding, framing
):
    rows = [{"instruction": f"질문 {n}", "output": f"답 {n}" * n} for n in range(1, 30)]
    text = json.dumps(rows, ensure_ascii=False)
    if framing == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = text.encode(encoding)
    path = place / "a.json"
    if pack == "zip":
        path = place / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", data)
    else:
        packers = {"none": bytes, "gzip": gzip.compress, "zstd": zstd.compress}
        path.write_bytes(packers[pack](data))
    source = {"name": "a", "files": [path.name]}
    if encoding == "cp949":
        source["encoding"] = encoding
    recipe = write_recipe(place, {"sources": [source]})
    dollymix.merge(recipe, place / "out", workers=1, unit_bytes=200)
    report = dollymix.verify(place / "out")
    assert (report.faults, report.notes) == ([], [])
    start = pq.read_table(place / "out/lineage/train/00000.parquet").column("byte_start")
    # The first row is looked at, whatever else is.
    edit_lineage(place / "out", set_values("byte_start", {0: start[0].as_py() + 2}))
    assert dollymix.verify(place / "out").faults[0].startswith("a/a.")
    edit_lineage(place / "out", set_values("byte_start", {0: start[0].as_py()}))
    edit_lineage(place / "out", set_values("byte_end", {0: 10_000_000}))
    faults = dollymix.verify(place / "out").faults
    assert any(fault.endswith("as lineage says: the input ends before") for fault in faults)
    assert any(": record 0 is, at bytes " in fault for fault in faults)


@pytest.mark.parametrize("change", [as_folder, as_pipe, as_dangling_link, as_own_link])
def test_an_input_that_is_no_file_any_more_is_told_and_not_opened(place, change):
    out = build(place)
    change(place / "a.jsonl")
    report = dollymix.verify(out)
    assert any("a/a.jsonl" in line for line in [*report.faults, *report.notes])


ROWS = [{"instruction": f"질문 {n}", "output": f"답 {n}\n둘째 줄"} for n in range(30)]


def write_csv(path: Path) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["instruction", "output"])
        writer.writeheader()
        writer.writerows(ROWS)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=7)


def write_arrow(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def write_tar(path: Path) -> None:
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    with tarfile.open(path, "w:xz") as archive:
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def write_bz2(path: Path) -> None:
    path.write_bytes(bz2.compress(json.dumps(ROWS).encode()))


def write_torn(path: Path) -> None:
    path.write_text(json.dumps(ROWS)[:-40])


@pytest.mark.parametrize(
    ("name", "write", "written"),
    [
        ("a.csv", write_csv, 30),
        ("a.parquet", write_parquet, 30),
        ("a.arrow", write_arrow, 30),
        ("a.tar.xz", write_tar, 30),
        ("a.json.bz2", write_bz2, 30),
        ("a.json", write_torn, 29),
    ],
)
def test_a_build_of_every_framing_holds(place, name, write, written):
    write(place / name)
    source = {"name": "a", "files": [name], "salvage": True}
    recipe = write_recipe(place, {"sources": [source]})
    dollymix.merge(recipe, place / "out", workers=1, unit_bytes=200)
    report = dollymix.verify(place / "out")
    assert (report.faults, report.notes) == ([], [])
    manifest = json.loads((place / "out" / "manifest.json").read_bytes())
    assert manifest["inputs"][0]["examples"] == written
    with open(place / name, "r+b") as file:
        file.seek(60)
        file.write(b"#")
    assert (
        dollymix.verify(place / "out").faults[0].endswith("the input was changed since the build")
    )


def test_what_came_from_standard_input_is_noted_whatever_is_called_so(place, monkeypatch):
    data = write_rows(place / "a.jsonl", 3).read_bytes()
    (place / "-").write_text("another file")
    command = [sys.executable, "-m", "dollymix", "merge", "-", "-o", "out"]
    subprocess.run(command, cwd=place, input=data, check=True, capture_output=True)
    monkeypatch.chdir(place)
    report = dollymix.verify("out")
    assert report.faults == []
    assert report.notes == ["stdin/stdin: the input is not there, so not checked"]
