"""What came of one series of shots, and how it is shown."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from shots.place import Place

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "faults"
_COUNT = re.compile(r"(\d+) (?:shots|disk states|cuts)")
_BAD = re.compile(r"(\d+) bad")


class Outcome(NamedTuple):
    """One series: how many shots, how many ended badly, what the first of those were."""

    name: str
    shots: int
    bad: int
    seconds: float
    note: str = ""
    details: tuple[str, ...] = ()


def show(outcomes: list[Outcome]) -> None:
    """A table in Markdown, with what went wrong below it."""
    print("| series | shots | bad | seconds | |\n| --- | ---: | ---: | ---: | --- |")
    for o in outcomes:
        print(f"| {o.name} | {o.shots} | {o.bad} | {o.seconds:.0f} | {o.note} |")
    for o in outcomes:
        for line in o.details:
            print(f"{o.name}: {line}")
    sys.stdout.flush()


class Series:
    """A series that is shot here: call `shot` for each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = time.monotonic()
        self.count = 0
        self.wrong: list[str] = []
        self.note = ""

    def shot(self, label: str, *faults: str) -> None:
        """Count a shot; what is not empty in `faults` is bad about it."""
        self.count += 1
        found = [fault for fault in faults if fault]
        if found:
            self.wrong.append(f"{label}: {'; '.join(found)}")

    def outcome(self) -> Outcome:
        """What came of it."""
        seconds = time.monotonic() - self.began
        shown = tuple(self.wrong[:12])
        return Outcome(self.name, self.count, len(self.wrong), seconds, self.note, shown)


def drive(name: str, harness: str, arguments: list[str], place: Place, **settings: Any) -> Outcome:
    """Run a harness of `../shared/faults` against Dollymix, in a process of its own."""
    if not (SHARED / harness).exists():
        return Outcome(name, 0, 0, 0, f"needs ../shared/faults/{harness}, which is not there")
    place.root.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"\W+", "-", name)
    job, result = place.root / f"{stem}.job.json", place.root / f"{stem}.result.json"
    default: dict[str, Any] = {"below": "", "rerun_every": 0, "target": "process", "prepare": ""}
    default |= {"out": "", "room": 0, "scale": 1.0}
    told = {
        "harness": harness,
        "arguments": arguments,
        "folder": str(SHARED),
        "result": str(result),
    }
    told |= {"place": {**place._asdict(), "root": str(place.root)}}
    job.write_text(json.dumps({**default, **told, **settings}))
    result.unlink(missing_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "shots.drive", str(job)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    seconds = time.monotonic() - began
    count, bad = _COUNT.search(done.stdout), _BAD.search(done.stdout)
    found = json.loads(result.read_bytes()) if result.exists() else {"findings": []}
    lines = [line.strip() for line in done.stdout.splitlines()[1:]] + found["findings"][:12]
    if count is None or bad is None:
        return Outcome(name, 0, 1, seconds, "did not run", (*lines, done.stderr[-1500:]))
    wrong = int(bad[1]) + len(found["findings"])
    return Outcome(name, int(count[1]), wrong, seconds, _note(done.stdout, found), tuple(lines))


def _note(said: str, found: dict[str, Any]) -> str:
    """What else the harness counted."""
    first = said.splitlines()[0]
    parts = re.findall(r"\d+ (?:killed before the end|failed runs|crash points)", first)
    if states := re.search(r"states (\{.*?\})", first):
        parts.append(states[1])
    if found.get("reruns"):
        parts.append(f"{found['reruns']} of them built on")
    if found.get("early"):
        parts.append(f"{found['early']} before the interpreter came to our code")
    if found.get("longest_stop"):
        parts.append(f"slowest stop {found['longest_stop']:.1f} s")
    return ", ".join(parts)


def quoted(place: Place, generation: int, below: str = "") -> str:
    """The merge of a generation as a line for the shell, with {out} left open."""
    words = place.command(generation, "OUT")
    return " ".join(f"{{out}}{below}" if w == "OUT" else shlex.quote(w) for w in words)
