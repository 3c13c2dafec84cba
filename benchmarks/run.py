"""Runs every candidate on the same input and prints a Markdown table of what they cost.

Usage: python run.py [--smoke] [--rounds 3] [--only NAME ...] [--dollymix-python PY] [--check]

Each run is a fresh process, one after the other; rounds are interleaved, so that a busy
minute of the machine does not fall on one candidate alone.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import check
from candidates import Candidate, Setting, candidates
from machine import describe, dollymix_version
from measure import Usage, run
from table import results_table

_SMOKE_SCALE = 0.01
# Working files and the set itself may be on disk at once.
_ROOM_FOR_OUTPUT = 2.5


@dataclass
class Results:
    """What the runs gave: costs and record counts by candidate, and what went wrong."""

    usages: dict[str, list[Usage]] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, check.Fingerprint] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """0 when every candidate that ran gave the right records, else 1."""
    arguments = _arguments()
    chosen = _chosen(candidates(arguments.repeat), arguments.only)
    source = _input(arguments)
    truth = json.loads((source / "truth.json").read_bytes())
    results = Results()
    with tempfile.TemporaryDirectory(dir=source.parent, prefix="benchmark-") as scratch:
        setting = Setting(
            source, Path(scratch), sys.executable, arguments.dollymix_python, truth["total"]
        )
        machine = describe(arguments.dollymix_python)
        chosen = _runnable(chosen, setting)
        _warm(source)
        for number in range(1, arguments.rounds + 1):
            for candidate in chosen:
                _say(f"round {number}: {candidate.name}: ", end="")
                _run_once(candidate, setting, results, look=arguments.check and number == 1)
    _report(results, chosen, machine, truth)
    return 1 if results.faults else 0


def _arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--input", type=Path, help="folder of the input, made when absent")
    parser.add_argument("--scale", type=float, default=1.0, help="1.0 is the log's size")
    parser.add_argument("--smoke", action="store_true", help=f"scale {_SMOKE_SCALE}")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each candidate")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run these candidates")
    parser.add_argument(
        "--dollymix-python", default=sys.executable, help="interpreter that has Dollymix"
    )
    parser.add_argument(
        "--repeat", type=int, default=10, help="copies of the input in the long memory run"
    )
    parser.add_argument("--check", action="store_true", help="fingerprint the first outputs")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.scale = _SMOKE_SCALE
    return arguments


def _chosen(known: list[Candidate], only: Sequence[str] | None) -> list[Candidate]:
    """The candidates named on the command line, or those that run by default."""
    if only is None:
        return [candidate for candidate in known if candidate.by_default]
    names = [candidate.name for candidate in known]
    for name in only:
        if name not in names:
            sys.exit(f"--only {name}: no such candidate. Known: {', '.join(names)}")
    return [candidate for candidate in known if candidate.name in only]


def _input(arguments: argparse.Namespace) -> Path:
    """The folder of the input, which is generated when it is not complete."""
    default = Path(__file__).parent / "input" / f"scale-{arguments.scale:g}"
    source: Path = (arguments.input or default).resolve()
    if not (source / "truth.json").exists():
        _say(f"making the input of scale {arguments.scale:g}: this takes a minute or two")
        maker = str(Path(__file__).with_name("generate.py"))
        command = [sys.executable, maker, str(source), "--scale", str(arguments.scale)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return source


def _runnable(chosen: list[Candidate], setting: Setting) -> list[Candidate]:
    """The candidates that can run here; the others are named, with the reason."""
    has_dollymix = dollymix_version(setting.dollymix_python) is not None
    free = shutil.disk_usage(setting.scratch).free
    runnable = []
    for candidate in chosen:
        needed = setting.truth["dolly_bytes"] * candidate.copies * _ROOM_FOR_OUTPUT
        if candidate.needs_dollymix and not has_dollymix:
            _say(f"skipped {candidate.name}: {setting.dollymix_python} has no `dollymix` to run")
        elif needed > free:
            _say(f"skipped {candidate.name}: needs {needed / 1e9:.0f} GB of free disk")
        else:
            runnable.append(candidate)
    return runnable


def _warm(source: Path) -> None:
    """Reads the input once, so that the first candidate does not pay for a cold disk."""
    check.count_lines(path for path in sorted(source.rglob("*")) if path.is_file())


def _run_once(candidate: Candidate, setting: Setting, results: Results, *, look: bool) -> None:
    """Runs a candidate, checks its records, deletes its output."""
    output = setting.scratch / "out"
    output.mkdir()
    log = setting.scratch / "log.txt"
    command = candidate.command(setting)
    usage = run(command, log)
    runs = results.usages.setdefault(candidate.name, [])
    if usage.exit_status:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        _fault(results, f"{candidate.name}: exit status {usage.exit_status}\n{tail}")
    else:
        _say(
            f"{usage.user_seconds:.1f} user s, {usage.system_seconds:.1f} system s, "
            f"{usage.wall_seconds:.1f} wall s, {usage.peak_pss_mb:,.0f} MB"
        )
        if _is_right(candidate, setting, results):
            runs.append(usage)
        if look and (lines := candidate.lines(setting)):
            results.fingerprints[candidate.name] = check.fingerprint_apart(lines)
    shutil.rmtree(output)
    for recipe in setting.source.glob("recipe-*.yaml"):
        recipe.unlink()


def _is_right(candidate: Candidate, setting: Setting, results: Results) -> bool:
    """Whether the output has the number of records that the generator planned."""
    written, expected = candidate.written(setting), candidate.expected(setting)
    results.records[candidate.name] = f"{written:,}" if candidate.name != "bound" else "-"
    if written != expected:
        _fault(results, f"{candidate.name}: wrote {written:,}: expected {expected:,}")
    return written == expected


def _fault(results: Results, message: str) -> None:
    """Notes and prints what went wrong."""
    results.faults.append(message)
    _say(message)


def _report(
    results: Results, chosen: list[Candidate], machine: str, truth: dict[str, dict[str, int]]
) -> None:
    """Prints machine, input, table and, with --check, whether the contents are the same."""
    total = truth["total"]
    text = (
        f"\n{machine}\n- Input of scale {truth['scale']}: {total['file_bytes']:,} bytes on disk, "
        f"{total['records']:,} records, {total['duplicates']:,} of them repeats\n\n"
        f"{results_table(results.usages, results.records)}\n"
    )
    sys.stdout.write(text)
    if results.fingerprints:
        sys.stdout.write(f"\n{_contents(results, chosen)}\n")


def _contents(results: Results, chosen: list[Candidate]) -> str:
    """One line a candidate: whether its rows, and their order, are those of the first.

    Of a candidate that drops duplicates, the distinct rows of the first are asked; of one
    that reads the input several times, that many copies.
    """
    by_name = {candidate.name: candidate for candidate in chosen}
    plain = [
        found
        for name, found in results.fingerprints.items()
        if not by_name[name].distinct and by_name[name].copies == 1
    ]
    if not plain:
        return "Nothing to compare the contents with: run a peer too."
    lines = []
    for name, found in results.fingerprints.items():
        wanted = plain[0].of(distinct=by_name[name].distinct, copies=by_name[name].copies)
        same = (found.count, found.rows) == wanted
        if not same:
            results.faults.append(f"{name}: other rows")
        order = ", in the same order" if found.order == plain[0].order else ""
        verdict = "the right rows" if same else "OTHER ROWS"
        lines.append(f"- {name}: {found.count:,} rows {found.rows:032x}: {verdict}{order}")
    return "\n".join(lines)


def _say(text: str, end: str = "\n") -> None:
    """Prints progress, apart from the results."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
