"""Borrowed corpora of hostile files: JSON, UTF-8, naughty strings, CSV, Parquet.

They lie in `../shared/badinput/public`; each is read through the command line, many in one build.
"""

import json
import re
from collections import defaultdict

import msgspec
import pytest

from dollymix.framing import Framing, csv
from tests.badinput.cases import run_command
from tests.helpers import read_ledger, read_lineage, read_lines, read_rejects, write_text

# Reasons for which a file of this kind may be refused, or a line rejected.
REASONS = re.compile(r"(json|encoding|schema|format|input|unicode|parquet|csv|record)\.[a-z0-9_]+")


@pytest.fixture(scope="module")
def public(shared):
    """The folder of borrowed corpora."""
    return shared / "badinput" / "public"


def build(tmp_path, sources):
    """One build of many sources, which goes on past the files that are refused."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"version": 1, "sources": sources}), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["merge", str(recipe), "-o", str(out), "--workers", "1", "--quiet"]
    run = run_command([*arguments, "--on-bad-file", "skip", "--allow-empty"], 300)
    assert run.status == 0, run.err[-500:]
    assert b"Traceback" not in run.err
    return out


def expectations(shared):
    text = (shared / "badinput" / "public_expect.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_json_file_is_refused_or_read_as_its_verdict_says(shared, tmp_path):
    rows = expectations(shared)
    assert len(rows) == 403
    sources = [
        {"name": f"s{n}", "files": [str(shared / "badinput" / row["path"])]}
        for n, row in enumerate(rows)
    ]
    ledger = read_ledger(build(tmp_path, sources))
    for n, row in enumerate(rows):
        books = ledger["sources"][f"s{n}"]
        refused = [file["reason"] for file in books["files_refused"]]
        assert books["written"] == 0, row["path"]
        assert refused or books["records"], row["path"]
        assert all(REASONS.fullmatch(reason) for reason in [*refused, *books["rejected"]])
        if row["parser_verdict"] != "accept" and not refused:
            assert books["parts_rejected"] == books["parts"], row["path"]


def test_every_json_text_costs_its_own_line_alone(shared, tmp_path):
    """Each file without line ends is the answer of a record, between two good ones."""
    good = b'{"instruction": "q", "output": "a"}'
    lines, rows = [], []
    for row in expectations(shared):
        value = (shared / "badinput" / row["path"]).read_bytes()
        if b"\n" in value or b"\r" in value:
            continue
        rows.append((row, value))
        lines += [good, b'{"instruction": "q", "output": ' + value + b"}", good]
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    source = {"name": "s", "files": [str(path)], "format": "alpaca", "framing": "jsonl"}
    out = build(tmp_path, [source])
    rejects = {row["record"]: row for row in read_rejects(out)}
    written = {row["record"] for row in read_lineage(out)}
    assert len(rows) > 300
    for n, (row, value) in enumerate(rows):
        assert {3 * n, 3 * n + 2} <= written, row["path"]
        accepted = 3 * n + 1 in written
        verdict = row["parser_verdict"]
        if verdict != "accept":
            assert not accepted, row["path"]
            reason = rejects[3 * n + 1]["reason"]
            assert reason in (verdict, "schema.type", "schema.missing_field", "json.syntax") or (
                # The text ends the record early, and what is left is something else.
                reason == "json.duplicate_key"
            ), (row["path"], reason, verdict)
        else:
            is_text = isinstance(json.loads(value), str) and json.loads(value).strip("\x00 \u200b")
            assert accepted == bool(is_text), row["path"]


def test_every_line_of_bytes_is_utf8_or_rejected(public, tmp_path):
    rows = []
    for line in (public / "utf8tests" / "utf8tests.bin").read_bytes().split(b"\n"):
        _, kind, data = (*line.split(b":", 2), b"", b"")[:3]
        if kind in (b"valid", b"invalid"):
            rows.append((kind == b"valid", data))
    head, tail = b'{"instruction": "q", "output": "a', b'"}'
    path = tmp_path / "lines.jsonl"
    # Control characters must be escaped in JSON, or the line would fail for another reason.
    escaped = [re.sub(rb'[\x00-\x1f"\\]', lambda m: b"\\u%04x" % m[0][0], data) for _, data in rows]
    path.write_bytes(b"\n".join(head + data + tail for data in escaped) + b"\n")
    out = build(tmp_path, [{"name": "s", "files": [str(path)], "format": "alpaca"}])
    reasons = {row["record"]: row["reason"] for row in read_rejects(out)}
    assert len(rows) == 222
    for n, (valid, data) in enumerate(rows):
        assert reasons.get(n) == (None if valid else "encoding.invalid_utf8"), data


def test_naughty_strings_are_kept_letter_for_letter(public, tmp_path):
    strings = json.loads((public / "big-list-of-naughty-strings" / "blns.json").read_text("utf-8"))
    path = tmp_path / "blns.jsonl"
    rows = [{"instruction": f"q{n}", "output": text, text: n} for n, text in enumerate(strings)]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    out = build(tmp_path, [{"name": "s", "files": [str(path)], "format": "alpaca"}])
    kept = {row["record"]: line["response"] for row, line in zip(
        read_lineage(out), read_lines(out), strict=True)}  # fmt: skip
    lost = {row["record"]: json.loads(row["text"])["output"] for row in read_rejects(out)}
    assert len(strings) == 515
    assert {**kept, **lost} == dict(enumerate(strings))
    assert all(not kept.get(n) for n in lost)


def test_csv_cells_are_exact(public):
    """Without a format: cells alone are compared, read by the framing itself."""
    files = sorted((public / "csv-spectrum" / "csvs").glob("*.csv"))
    assert len(files) == 11
    for path in files:
        wanted = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text("utf-8"))
        data = path.read_bytes()
        header = csv.read_header(data, ",", whole=True)
        framing = Framing("csv", columns=header.columns)
        found = csv.frames(data[header.end :], header.end, framing)
        assert not found.refused
        assert [msgspec.json.decode(frame.data) for frame in found.frames] == wanted, path.name


def test_damaged_columnar_files_are_read_or_refused(public, tmp_path):
    files = sorted((public / "parquet-testing" / "bad_data").glob("*"))
    files += sorted(path for path in (public / "arrow-testing").rglob("*") if path.is_file())
    files = [path for path in files if path.suffix not in (".txt", ".md")]
    sources = [{"name": f"s{n}", "files": [str(path)]} for n, path in enumerate(files)]
    ledger = read_ledger(build(tmp_path, sources))
    told = defaultdict(int)
    for books in ledger["sources"].values():
        for file in books["files_refused"]:
            assert REASONS.fullmatch(file["reason"])
            told[file["reason"]] += 1
    assert len(files) >= 156
    assert sum(told.values()) + sum(b["files"] for b in ledger["sources"].values()) == len(files)
