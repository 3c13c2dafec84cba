"""What a power cut leaves of each tool's output: `python benchmarks/hostile/powerloss.py`.

Each writer overwrites 2,000 rows with 2,000 others. `shared/faults/crashstates.py`, beside this
repository, traces that once and builds the states that a disk may be in after every call.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from writers import WRITERS, records

FAULTS = Path(__file__).resolve().parents[3] / "shared" / "faults"
CONTROLS = {"control: right": "good", "control: no fsync": "nofsync"}
_SUMMARY = re.compile(r"(\d+) crash points, (\d+) disk states, (\d+) bad")
_KIND = re.compile(r"   (after ack )?(.+?): (\d+) states, e\.g\. (.*)")


def commands(name: str, place: Path, dollymix_python: str) -> list[str]:
    """The harness's arguments for one writer."""
    python, script = sys.executable, str(Path(__file__).with_name("writers.py"))
    if name in CONTROLS:
        toy = f"{python} {FAULTS / 'toywriter.py'} {CONTROLS[name]} {{out}}"
        return ["--prepare", f"{toy} 1", "--run", f"{toy} 2"]
    judge = f"{python} {script} judge {shlex.quote(name)} {{out}}"
    write = f"{python} {script} write {shlex.quote(name)} {{out}}"
    if name != "dollymix":
        return ["--prepare", f"{write} 1", "--run", f"{write} 2", "--check", judge]
    merge = []
    for generation in (1, 2):
        path = place / f"{generation}.jsonl"
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records(generation)))
        options = "--workers 1 --quiet --json"
        merge.append(f"{dollymix_python} -m dollymix merge {path} -o {{out}} {options}")
    # What it prints to standard output, it prints when all is done.
    ack = ["--ack", "folder"]
    return ["--prepare", merge[0], "--run", merge[1], "--check", judge, *ack]


def measure(name: str, dollymix_python: str) -> str:
    """The table's line for one writer."""
    with tempfile.TemporaryDirectory(prefix="powerloss-") as folder:
        place = Path(folder)
        harness = [sys.executable, str(FAULTS / "crashstates.py"), "--show", "1000"]
        out = ["--out", str(place / "disk" / "out"), "--old", "1", "--new", "2"]
        answer = subprocess.run(
            [*harness, *out, *commands(name, place, dollymix_python)],
            capture_output=True,
            text=True,
            check=False,
        )
    summary = _SUMMARY.search(answer.stdout)
    if summary is None:
        words = (answer.stderr.strip().splitlines() or ["nothing said"])[-1]
        return f"| {name} | - | - | - | - | - | failed: {words} |"
    torn = old = 0
    worst = ""
    for after, state, count, example in _KIND.findall(answer.stdout):
        if state.startswith("broken") or not after:
            torn += int(count)
            call = re.sub(r"\S*disk/", "", example)
            worst = worst or f"{state}, {'after done' if after else 'before done'}: {call}"
        else:
            old += int(count)
    return f"| {name} | {' | '.join(summary.groups())} | {torn} | {old} | {worst} |"


def main() -> None:
    """Prints the table as it grows."""
    names = [*CONTROLS, *WRITERS, "dollymix"]
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--dollymix-python", default=sys.executable, metavar="PY")
    arguments = parser.parse_args()
    print("| writer | crash points | states | bad | neither old nor new | old after done | first |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for name in arguments.only:
        print(measure(name, arguments.dollymix_python), flush=True)


if __name__ == "__main__":
    main()
