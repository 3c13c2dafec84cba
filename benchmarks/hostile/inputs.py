"""What each tool does with hostile files: `python benchmarks/hostile/inputs.py --cases DIR`.

Each tool reads each case in a process of its own, with a limit of time and memory; the rows are
held against what is right. `README.md` beside this file says what the columns mean.
"""

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from expected import Case, Row, load, row
from readers import TOOLS, Spec

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import describe

TEXT = ("jsonl", "json", "csv", "enc", "gz", "bz2", "xz", "zst")
ARCHIVES = ("zip", "tar", "pq", "arrow")
RECORDS = ("schema", "content")
KINDS = ("as expected", "abort", "silent", "hang", "crash", "out of memory", "not taken")

_OUT_OF_MEMORY = re.compile(r"MemoryError|bad_alloc|Cannot allocate|[Oo]ut of [Mm]emory")
_RAISED = re.compile(r"[\w.]*(Error|Exception)\b")
_WARNING = re.compile(r"WARN|Warning|ERROR")
_FAULT_OF_DOLLYMIX = 70


class Run(NamedTuple):
    """What one tool did with one file; the exit status is none where the time ran out."""

    rows: list[Row]
    status: int | None
    stderr: str
    rejected: int

    @property
    def last_words(self) -> str:
        """The exception, else the last line on standard error; shortened."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        raised = [line for line in lines if _RAISED.match(line)]
        return (raised or lines or [""])[-1].strip()[:200].replace("|", "/")

    @property
    def warnings(self) -> set[str]:
        """The warnings, without what changes from run to run."""
        lines = self.stderr.splitlines()
        return {re.sub(r"[\d/\\]\S*", "", line) for line in lines if _WARNING.search(line)}


class Outcome(NamedTuple):
    """The judgement of one run: one of `KINDS`, and why."""

    case: Case
    kind: str
    detail: str = ""
    warned: bool = False


class Bench(NamedTuple):
    """The limits, and the interpreter that has Dollymix."""

    dollymix_python: str
    seconds: int
    memory_bytes: int

    def run(self, tool: str, case: Case) -> Run:
        """Reads one case with one tool in a fresh process and folder."""
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            place = Path(folder)
            known = (str(case.path.resolve()), case.form, case.adapter, case.options)
            spec = Spec(*known, self.memory_bytes, self.dollymix_python)
            (place / "spec.json").write_text(json.dumps(spec._asdict()))
            status = self._call(tool, place)
            rows, rejects = place / "rows.jsonl", place / "out" / "rejects.jsonl"
            return Run(
                # A process that was killed may have torn the last line.
                [tuple(json.loads(line)) for line in _bytes(rows).split(b"\n")[:-1]],
                status,
                _bytes(place / "stderr").decode(errors="replace").replace(folder, ""),
                _bytes(rejects).count(b"\n"),
            )

    def _call(self, tool: str, place: Path) -> int | None:
        command = [sys.executable, str(Path(__file__).with_name("readers.py")), tool, "spec.json"]
        # Nothing is fetched, nothing found in a cache.
        settings = {"HF_HOME": str(place), "HF_HUB_OFFLINE": "1", "TMPDIR": str(place)}
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with (place / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=place,
                env=os.environ | settings,
                stderr=stderr,
                start_new_session=True,
                **quiet,
            )
            try:
                return process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                return None


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def judge(tool: str, case: Case, run: Run, usual: set[str]) -> Outcome:
    """What to think of a run. `usual` are warnings that the tool gives for good files, too."""
    warned = bool(run.warnings - usual) or run.rejected > 0
    if run.status == 0:
        fault = _fault(case, run, told=warned or case.verdict == "accept")
        return Outcome(case, "silent" if fault else "as expected", fault, warned)
    if run.status is None:
        return Outcome(case, "hang")
    if _OUT_OF_MEMORY.search(run.stderr):
        return Outcome(case, "out of memory", run.last_words)
    if run.status < 0 or (tool.startswith("dollymix") and run.status == _FAULT_OF_DOLLYMIX):
        return Outcome(case, "crash", f"exit status {run.status}: {run.last_words}")
    # An error is right where the file holds nothing good.
    return Outcome(case, "abort" if case.accepted > 0 else "as expected", run.last_words, warned)


def _fault(case: Case, run: Run, *, told: bool) -> str:
    """What is wrong with the rows of a run without an error; nothing where they are right."""
    count, good = len(run.rows), case.rows or []
    if case.verdict == "any" or (case.file_error == "input.empty" and not count):
        return ""
    if case.rows is None:
        as_counted = (count, run.rejected) == (case.accepted, case.rejected)
        return "" if as_counted else f"{count} rows, {run.rejected} rejects"
    if case.whole is not None and run.rows == case.whole:
        return ""
    if run.rows == good and (told or case.verdict != "refuse"):
        # Bad records may stay behind, but not without a word.
        return "" if told else "the bad record is gone without a word"
    if case.verdict == "refuse":
        return f"{count} rows of a file that is broken ({case.file_error}), and no error"
    found, wanted = Counter(map(_shown, run.rows)), Counter(map(_shown, good))
    lost, wrong = wanted - found, found - wanted
    first = f", such as {min(wrong)}" if wrong else ""
    return (
        f"{count} rows: {lost.total()} of {len(good)} good ones lost, {wrong.total()} wrong{first}"
    )


def _shown(found: Row) -> str:
    return ", ".join(ascii(text)[:60] for text in found)


def run_tool(bench: Bench, tool: str, cases: Sequence[Case]) -> list[Outcome]:
    """All cases with one tool. What it cannot read even where it is whole is `not taken`."""
    _, forms = TOOLS[tool]
    controls = ("jsonl.ok_plain", "json.ok_array", "csv.ok", "pq.ok")
    normal = [bench.run(tool, case).warnings for case in cases if case.name in controls]
    usual = set[str]().union(*normal)

    def one(case: Case) -> Outcome:
        if case.form not in forms:
            return Outcome(case, "not taken")
        return judge(tool, case, bench.run(tool, case), usual)

    good = [case for case in cases if case.verdict == "accept"]
    others = [case for case in cases if case.verdict != "accept"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(one, good))
        read = {found.case.group for found in outcomes if found.kind == "as expected"}
        outcomes += pool.map(one, [case for case in others if case.group in read])
    outcomes = [found for found in outcomes if found.case.group in read]
    return outcomes + [Outcome(case, "not taken") for case in cases if case.group not in read]


def one_bad_record(bench: Bench, tools: Iterable[str]) -> Iterable[list[str]]:
    """100,000 lines of UTF-8, but for one of CP949: the rows that come out, and what is said."""
    total, bad = 100_000, 50_000
    yield ["tool", "rows out", "right", "exit status", "rejects", "last words"]
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        path = Path(folder) / "data.jsonl"
        records = [
            {"instruction": f"질문 {n}", "input": "", "output": f"답 {n} 똠방각하"}
            for n in range(total)
        ]
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        codecs = ["cp949" if number == bad else "utf-8" for number in range(total)]
        path.write_bytes(b"".join(map(str.encode, lines, codecs)))
        right = {row(record) for number, record in enumerate(records) if number != bad}
        empty = ("partial", None, total - 1, 1, None, None)
        case = Case("one", path, "jsonl", "alpaca", {}, *empty)
        for tool in tools:
            run = bench.run(tool, case)
            kept = sum(found in right for found in run.rows)
            counts = f"{len(run.rows):,}", f"{kept:,}", str(run.status), str(run.rejected)
            yield [tool, *counts, run.last_words.replace(folder, "")]


def counted(outcomes: dict[str, list[Outcome]]) -> Iterable[list[str]]:
    """One line a tool: how many runs were of which kind."""
    yield ["tool", "cases", *KINDS, "silent, but for a warning"]
    for tool, found in outcomes.items():
        counts = Counter(outcome.kind for outcome in found)
        warned = sum(outcome.warned for outcome in found if outcome.kind == "silent")
        yield [tool, *map(str, [len(found), *(counts[kind] for kind in KINDS), warned])]


def _table(lines: Iterable[list[str]]) -> None:
    for number, cells in enumerate(lines):
        print(f"| {' | '.join(cells)} |", flush=True)
        if number == 0:
            print(f"|{' --- |' * len(cells)}")
    print()


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} (none)"


def main() -> None:
    """Runs the tools; tables and every fault go to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--cases", type=Path, required=True, help="what make_bad_inputs.py wrote")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS), metavar="NAME")
    parser.add_argument("--seconds", type=int, default=60, help="limit for one case")
    parser.add_argument("--memory-gib", type=int, default=8, help="address space for one case")
    parser.add_argument("--dollymix-python", default=sys.executable, metavar="PY")
    arguments = parser.parse_args()
    bench = Bench(arguments.dollymix_python, arguments.seconds, arguments.memory_gib << 30)
    cases = load(arguments.cases, {*TEXT, *ARCHIVES, *RECORDS})
    print(describe(arguments.dollymix_python))
    print(f"- {', '.join(map(_version, ('datatrove', 'pandas', 'py-data-juicer')))}\n", flush=True)
    outcomes = {}
    for tool in arguments.only:
        chosen = [case for case in cases if case.for_all or tool == "dollymix"]
        outcomes[tool] = run_tool(bench, tool, chosen)
        print(f"{tool}: {len(chosen)} cases done", file=sys.stderr, flush=True)
    every = {tool: [one for one in found if one.case.for_all] for tool, found in outcomes.items()}
    for groups in (TEXT, ARCHIVES):
        _table(
            counted(
                {
                    tool: [one for one in found if one.case.group in groups]
                    for tool, found in every.items()
                }
            )
        )
    own = [one for one in outcomes.get("dollymix", []) if not one.case.for_all]
    if own:
        _table(counted({"dollymix, its own cases": own}))
    _table(one_bad_record(bench, arguments.only))
    for tool, found in outcomes.items():
        for kind, case, detail, warned in sorted(
            (one.kind, one.case, one.detail, one.warned)
            for one in found
            if one.kind not in ("as expected", "not taken")
        ):
            said = " (with a warning)" if warned else ""
            print(f"{tool}: {kind}: {case.name} [{case.verdict}]: {detail}{said}")


if __name__ == "__main__":
    main()
