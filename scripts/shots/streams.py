"""Standard files that cannot be written, or are closed, for every command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shots import limits
from shots.outcome import Outcome, Series
from shots.place import Place


def series(place: Place) -> Iterator[Outcome]:
    """Every series of this file."""
    yield _standard_output(place, "standard output is /dev/full", ">/dev/full", 1)
    yield _standard_output(place, "standard output is closed", ">&-", 1)
    yield _standard_output(place, "who reads standard output has gone", "", 141)
    yield _standard_error(place)


def _commands(place: Place, out: str) -> list[list[str]]:
    """Every command, each as words behind `dollymix`."""
    build, rows = str(place.reference(2)), str(place.root / "inputs" / "rows.json")
    merge = place.command(2, out)[4:]
    identity = "rows/rows.json#0"
    return [
        merge,
        [*merge, "--json"],
        [*merge, "--dry-run"],
        ["init", rows],
        ["inspect", rows],
        ["inspect", rows, "--json"],
        ["explain", build, identity],
        ["explain", build, identity, "--json"],
        ["verify", build],
        ["verify", build, "--json"],
        ["diff", str(place.reference(1)), build],
        ["diff", str(place.reference(1)), build, "--json"],
        ["formats"],
        ["formats", "sharegpt"],
        ["steps"],
        ["steps", "exact_duplicates"],
        ["--help"],
        ["--version"],
        ["merge", "--help"],
        [],
    ]


def _call(words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dollymix", *words]
    if redirection:
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]
        return subprocess.run(shell, capture_output=True, text=True, timeout=60)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writing)


def _standard_output(place: Place, name: str, redirection: str, status: int) -> Outcome:
    found = Series(f"{name}, every command")
    for words in _commands(place, "OUT"):
        out = limits.fresh(place, "streams")
        words = [out if word == "OUT" else word for word in words]
        done = _call(words, redirection)
        if words[:1] == ["init"]:
            # What was found stands on standard error, the recipe on standard output.
            done.stderr = "".join(done.stderr.splitlines(keepends=True)[1:])
        faults = [limits.said_badly(done, (status,))]
        quiet = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
        if status == 141 and quiet:
            faults.append(f"says {done.stderr}")
        if "merge" in words and "--dry-run" not in words and "--help" not in words:
            # The set was there before there was anything to say.
            faults.append("" if limits.standing(place, out) == "new" else "the set is not new")
            faults += limits.again(place, out)
        found.shot(" ".join(words[:3]), *faults)
    return found.outcome()


def _standard_error(place: Place) -> Outcome:
    """Where nothing can be said on standard error, the work and its status are the same."""
    found = Series("standard error or input closed or full, every command")
    for redirection in ("2>/dev/full", "2>&-", "<&-", "<&- 2>&-"):
        for words in _commands(place, "OUT"):
            out = limits.fresh(place, "streams")
            words = [out if word == "OUT" else word for word in words]
            done = _call(words, redirection)
            status = 2 if not words else 0
            faults = [limits.said_badly(done, (status,))]
            if words[:1] == ["merge"] and words[-1] not in ("--dry-run", "--help"):
                faults.append("" if limits.standing(place, out) == "new" else "the set is not new")
            found.shot(f"{redirection} {' '.join(words[:3])}", *faults)
        # A failing one keeps its status.
        missing = _call(["verify", str(Path(place.root) / "none")], redirection)
        found.shot(f"{redirection} verify none", limits.said_badly(missing, (2,)))
    return found.outcome()
