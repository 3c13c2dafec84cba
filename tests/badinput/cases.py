"""Runs generated hostile inputs through the command line and says where a verdict differs.

    python -m tests.badinput.cases CASES [PATTERN]     every case of CASES/expect.jsonl, one line a difference

`CASES` is what `../shared/badinput/make_bad_inputs.py` wrote. What is compared: exit status, examples
written, rejects by reason with their bytes and places, the refusal's reason, flags, peak memory,
time, and that nothing else is left, no traceback is shown and no control character is printed.
"""

import base64
import fnmatch
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

FLAGS = ("text.", "chat.", "id.", "archive.", "qa.")
FRAMINGS = ("jsonl", "json", "csv", "tsv", "parquet", "arrow")
# Keys of a case's options that are keys of a source, not options of its format.
SOURCE_KEYS = ("encoding", "delimiter", "salvage", "allow_empty")
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")

# Cases in which another verdict is right as well, since it rests on a value that nobody reads.
UNREAD = {
    "jsonl.duplicate_key_nested": "the repeated key stands in `meta`, which is not read",
    "jsonl.int_over_u64": "the number stands in `n`, which is not read",
    "jsonl.int_5000_digits": "the number stands in `n`, which is not read",
    "jsonl.float_overflow": "the number stands in `n`, which is not read",
    "jsonl.depth_300": "the nesting stands in `m`, which is not read",
}
# Recipes with keys that a recipe of ours has not: refused for the key, before anything else.
FOREIGN_KEYS = {"cfg.regex_bomb": "clean"}


class Run(NamedTuple):
    """One run of the command line. `memory` is the peak of the largest process, in MB."""

    status: int
    out: bytes
    err: bytes
    seconds: float
    memory: float


class Measured(NamedTuple):
    """What a case should give and gave, as differences; empty where it is as it should be."""

    differences: list[str]
    seconds: float
    memory: float


def run_command(arguments, timeout, *, stdin=None):
    """The command line in a process of its own."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "dollymix", *arguments], stdout=out, stderr=err, stdin=stdin
        )
        timer = _kill_after(process, timeout)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        seconds = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        return Run(process.returncode, out.read(), err.read(), seconds, used.ru_maxrss / 1024)


def _kill_after(process, seconds):
    import threading

    timer = threading.Timer(seconds, process.kill)
    timer.start()
    return timer


def load(folder, pattern="*"):
    """The cases of a folder."""
    text = (Path(folder) / "expect.jsonl").read_text(encoding="utf-8")
    cases = [json.loads(line) for line in text.split("\n") if line]
    return [case for case in cases if fnmatch.fnmatch(case["id"], pattern)]


def path_of(folder, case):
    """Where a case's file is; it may be no text."""
    if case["path_b64"]:
        return os.fsdecode(os.path.join(os.fsencode(folder), base64.b64decode(case["path_b64"])))
    return os.path.join(folder, case["path"])


def recipe_of(path, case):
    """The recipe that reads a case as it says."""
    options = dict(case["options"])
    source = {"name": "case", "files": [path], "format": case["adapter"]}
    if case["format"] in FRAMINGS:
        source["framing"] = case["format"]
    source |= {key: options.pop(key) for key in SOURCE_KEYS if key in options}
    if case["adapter"] == "sharegpt":
        options["turns"] = "whole"
    return {"version": 1, "sources": [source | ({"options": options} if options else {})]}


def measure(folder, case, workers=1):
    """Run a case and compare."""
    with tempfile.TemporaryDirectory(prefix="dollymix-case-") as place:
        return _measure(folder, case, Path(place), workers)


def _measure(folder, case, place, workers):
    path = path_of(folder, case)
    if case["format"] == "config":
        copied = place / "recipe.yaml"
        copied.write_bytes(Path(path).read_bytes())
        source = str(copied)
    elif case["path_b64"]:
        source = path
    else:
        source = str(place / "recipe.yaml")
        Path(source).write_text(json.dumps(recipe_of(path, case)), encoding="utf-8")
    out = place / "out"
    limit = max(case["seconds"] * 4, 20)
    arguments = ["merge", source, "-o", str(out), "--workers", str(workers), "--json", "--quiet"]
    run = run_command([*arguments, "--allow-empty"], limit)
    found = [*_manners(run, case), *_verdict(run, case, out, path)]
    beside = sorted(set(os.listdir(place)) - {"recipe.yaml", "out"})
    if beside:
        found.append(f"left beside the output: {beside}")
    return Measured(found, run.seconds, run.memory)


def _manners(run, case):
    """What holds for every case."""
    found = []
    if b"Traceback" in run.err or run.status in (70, -9):
        last = run.err.decode(errors="replace").strip()[-300:]
        found.append(f"status {run.status}: {last}")
    if CONTROL.search(run.err) or CONTROL.search(run.out):
        found.append("a control character was printed")
    # A process of its own and its imports are in the figures.
    if run.seconds > case["seconds"] + 1:
        found.append(f"took {run.seconds:.1f} s, not {case['seconds']}")
    if run.memory > case["rss_mb"]:
        found.append(f"took {run.memory:.0f} MB, not {case['rss_mb']}")
    return found


def _verdict(run, case, out, path):
    if case["verdict"] == "any":
        return [] if run.status in (0, 1) else [f"status {run.status}"]
    if case["verdict"] == "refuse":
        return _refused(run, case, out)
    if run.status != 0:
        return [f"status {run.status}: {run.err.decode(errors='replace').strip()[:300]}"]
    ledger = json.loads(out.joinpath("ledger.json").read_bytes())
    total = ledger["total"]
    rejected = dict(sorted(total["rejected"].items()))
    wanted = dict(sorted(case["rejected"].items()))
    accepted = case["accepted"]
    if case["id"] in UNREAD and not rejected:
        accepted, wanted = accepted + sum(wanted.values()), {}
    found = []
    if accepted >= 0 and total["written"] != accepted:
        found.append(f"{total['written']} written, not {accepted}")
    if rejected != wanted:
        found.append(f"rejected {rejected}, not {wanted}")
    found += _flags(total["warnings"], case)
    if total["records"] < 100_000:
        found += _rejects(out, case, path)
    return found


def _refused(run, case, out):
    wanted = case["file_error"]
    lines = run.err.decode(errors="replace").splitlines()
    status = 2 if case["format"] == "config" else 1
    found = []
    if run.status != status:
        found.append(f"status {run.status}, not {status}: {lines[-1:]}")
    if case["format"] != "config" and len(lines) != 1:
        found.append(f"{len(lines)} lines: {lines[:3]}")
    codes = [code for line in lines for code in re.findall(r"\[([a-z0-9_]+\.[a-z0-9_]+)\]", line)]
    if case["id"] in FOREIGN_KEYS:
        wanted = "config.unknown_key"
    if not any(fnmatch.fnmatch(code, wanted) for code in codes):
        found.append(f"refused as {codes}, not {wanted}: {lines[:1]}")
    if out.exists():
        found.append("something was published")
    return found


def _flags(warnings, case):
    told = {code: n for code, n in warnings.items() if code.startswith(FLAGS)}
    return [] if told == case["flags"] else [f"flags {told}, not {case['flags']}"]


def _rejects(out, case, path):
    """Each reject has its place, and its bytes are those of the file at that place."""
    found = []
    plain = os.path.isfile(path) and not case["path"].endswith((".gz", ".zst", ".zip", ".parquet"))
    data = Path(path).read_bytes() if plain and "encoding" not in case["options"] else None
    for line in (out / "rejects.jsonl").read_bytes().split(b"\n")[:-1]:
        row = json.loads(line)
        place = "row_group" if case["format"] in ("parquet", "arrow") else "byte_start"
        missing = {"id", "source", "file", "record", "reason", place} - row.keys()
        if missing:
            found.append(f"a reject without {sorted(missing)}")
        kept = row.get("text", "").encode() or base64.b64decode(row.get("base64", ""))
        if not kept and row["reason"] not in ("record.too_large", "source.truncated_tail"):
            found.append(f"{row['id']}: without its bytes") if "bytes_with" not in row else None
        stored = None if data is None else data[row["byte_start"] : row["byte_end"]]
        if kept and stored is not None and not _is_wide(data) and kept != stored:
            found.append(f"{row['id']}: its bytes are not those of the file")
    return found


def _is_wide(data):
    return data.startswith((b"\xff\xfe", b"\xfe\xff"))


def main(folder, pattern="*"):
    """Run the cases and print what differs, with the totals and the slowest and largest."""
    cases = load(folder, pattern)
    good, worst = 0, Counter()
    for case in cases:
        measured = measure(folder, case)
        good += not measured.differences
        worst[case["id"]] = measured.memory
        for difference in measured.differences:
            print(f"{case['id']}: {difference}", flush=True)
        if case["group"] != "small":
            print(
                f"  ({case['id']}: {measured.seconds:.1f} s, {measured.memory:.0f} MB)", flush=True
            )
    print(f"{good} of {len(cases)} as expected; most memory: {worst.most_common(3)}")
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raise SystemExit(main(*sys.argv[1:]))
