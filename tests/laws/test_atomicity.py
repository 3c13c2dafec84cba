"""Law 3: the output is the old complete build or the new one, whenever the process dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dollymix
from tests.laws import faults
from tests.laws.builds import digests, leftovers, write_recipe, write_rows
from tests.laws.profiles import PROFILE

FAULTS = Path(faults.__file__)
WAIT = 30
# Every call is tried in the long profile, one of so many in the others.
STRIDE = {"dev": 4, "ci": 1, "nightly": 1}.get(PROFILE, 25)
LONG = 100 + 1500 // STRIDE


@pytest.fixture
def shop(place):
    """A recipe, the old build it replaces, and the new one as it is without an accident.

    The recipe has two files, of which the second ends in bad lines, and a step that compares.
    """
    write_rows(place / "a.jsonl", 60)
    write_rows(place / "b.jsonl", 40, first=50)
    with open(place / "b.jsonl", "a", encoding="utf-8") as file:
        file.write('{"instruction": "no answer"}\nno json\n')
    sources = [{"name": "s", "files": ["a.jsonl", "b.jsonl"]}]
    small = [{"name": "s", "files": ["a.jsonl"]}]
    before = write_recipe(place, {"sources": small}, "before.yaml")
    recipe = write_recipe(place, {"sources": sources, "steps": ["exact_duplicates"]})
    dollymix.merge(before, place / "old", workers=1)
    dollymix.merge(recipe, place / "new", workers=1)
    return place


def sweep(shop: Path, **settings) -> list[dict]:
    """The reports of a sweep; see faults.py."""
    plan = {"recipe": str(shop / "recipe.yaml"), "new": str(shop / "new"), "after": False}
    plan |= {"old": str(shop / "old"), "target": str(shop / "work" / "set"), "workers": 1}
    plan |= {"calls": None, "again": 0, **settings}
    (shop / "work").mkdir(exist_ok=True)
    command = [sys.executable, str(FAULTS), "sweep", json.dumps(plan)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONG)
    return [json.loads(line) for line in done.stdout.splitlines()]


def start(call: int, name: str, shop: Path, *arguments: str) -> subprocess.Popen:
    """The command line in a process group of its own, with something to happen at a call."""
    command = [sys.executable, str(FAULTS), "run", str(call), name, str(shop / "report")]
    out = ["merge", str(shop / "recipe.yaml"), "-o", str(shop / "set"), "--quiet", *arguments]
    return subprocess.Popen(
        command + out,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def report(shop: Path) -> dict[str, int]:
    """What a run counted."""
    return json.loads((shop / "report").read_bytes())


def assert_gone(group: int) -> None:
    """No process of the group is left, a short while after its leader died."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("a process of the build is still there")


@pytest.fixture
def old_in_place(shop):
    """The shop with the old build at the target of the command line."""
    dollymix.merge(shop / "before.yaml", shop / "set", workers=1)
    return shop


def uninterrupted(shop: Path, **settings) -> dict[str, int]:
    """What a run without an accident counts."""
    (counts,) = sweep(shop, **settings)
    assert (counts["exit"], counts["left"], counts["beside"]) == (0, "new", [])
    return counts


@pytest.mark.parametrize(
    ("old", "after"),
    [(True, False), (False, True)],
    ids=["before it, over an old build", "after it, in an empty place"],
)
def test_a_fault_at_any_call_leaves_the_old_build_or_the_new_one(shop, old, after):
    settings = {"old": str(shop / "old") if old else None}
    total = uninterrupted(shop, **settings)["calls"]
    assert total > 60
    # The last calls publish the build: more of them.
    calls = sorted({*range(1, total, STRIDE), *range(total - 40, total + 1, -(-STRIDE // 4))})
    reports = sweep(shop, calls=calls, after=after, **settings)
    assert len(reports) == len(calls)
    whole = ("old", "new") if old else ("none", "new")
    assert [r for r in reports if r["exit"] != 9 or r["left"] not in whole] == []
    assert [r for r in reports if (r["rerun"], r["after"], r["beside"]) != (0, "new", [])] == []
    assert {r["left"] for r in reports} == set(whole)


def test_a_fault_in_the_run_that_recovers_changes_nothing_of_that(shop):
    total = uninterrupted(shop)["calls"]
    for first, again in ((total // 2, 5), (total // 2, total // 4), (total - 30, total // 8)):
        (r,) = sweep(shop, calls=[first], again=again)
        assert r["left again"] in ("old", "new"), r
        assert (r["rerun"], r["after"], r["beside"]) == (0, "new", []), r


def test_a_rerun_goes_on_from_the_last_durable_segment(shop):
    whole = uninterrupted(shop)
    reports = sweep(shop, calls=[whole["calls"] // 4, whole["calls"] // 2])
    early, late = (r["rerun units"] for r in reports)
    assert 0 < late < early < whole["units"]
    for r in reports:
        # At most a segment is done twice.
        redone = r["units"] + r["rerun units"] - whole["units"]
        assert 0 <= redone <= faults.SEGMENT_BYTES // faults.UNIT_BYTES + 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "status"), [("SIGKILL", -signal.SIGKILL), ("SIGTERM", 143), ("SIGINT", 130)]
)
def test_a_signal_stops_the_command_and_the_next_one_ends_in_the_same_bytes(
    old_in_place, name, status, workers
):
    shop = old_in_place
    process = start(40, name, shop, "--workers", workers)
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == status
    assert_gone(process.pid)
    assert "Traceback" not in said
    assert digests(shop / "set") == digests(shop / "old")
    assert dollymix.verify(shop / "set").faults == []
    again = start(0, "", shop, "--workers", "1")
    again.communicate(timeout=WAIT)
    assert again.returncode == 0
    assert digests(shop / "set") == digests(shop / "new")
    assert leftovers(shop / "set") == []


def test_after_a_kill_another_number_of_workers_may_go_on(old_in_place):
    shop = old_in_place
    killed = start(60, "SIGKILL", shop, "--workers", "1")
    killed.communicate(timeout=WAIT)
    done = report(shop)["units"]
    dollymix.merge(shop / "recipe.yaml", shop / "set", workers=2, unit_bytes=100)
    assert done > 0
    assert digests(shop / "set") == digests(shop / "new")
    assert leftovers(shop / "set") == []


def test_a_second_build_into_the_same_place_stops_with_one_line(old_in_place):
    shop = old_in_place
    first = start(50, "PAUSE", shop, "--workers", "1")
    end = time.monotonic() + WAIT
    while not (shop / "report").exists() and time.monotonic() < end:
        time.sleep(0.02)
    command = [sys.executable, "-m", "dollymix", "merge", str(shop / "before.yaml")]
    second = subprocess.run(
        [*command, "-o", str(shop / "set")], capture_output=True, text=True, timeout=WAIT
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert len(second.stderr.splitlines()) == 1
    assert digests(shop / "set") == digests(shop / "old")
    (shop / "report.go").touch()
    first.communicate(timeout=WAIT)
    assert first.returncode == 0
    assert digests(shop / "set") == digests(shop / "new")
    assert leftovers(shop / "set") == []


def test_a_build_that_fails_leaves_the_old_one_and_nothing_beside_it(old_in_place):
    shop = old_in_place
    (shop / "b.jsonl").write_bytes(b'[{"instruction": "a", "output": "b"}, {"instruction": ')
    with pytest.raises(dollymix.InputError) as caught:
        dollymix.merge(shop / "recipe.yaml", shop / "set", workers=1, unit_bytes=64)
    assert caught.value.reason == "json.syntax"
    assert digests(shop / "set") == digests(shop / "old")
    assert leftovers(shop / "set") == []


@pytest.mark.parametrize("max_rejected", [0.0, 0.001])
def test_too_many_rejects_leave_the_old_build(old_in_place, max_rejected):
    shop = old_in_place
    with pytest.raises(dollymix.BuildError):
        dollymix.merge(shop / "recipe.yaml", shop / "set", workers=1, max_rejected=max_rejected)
    assert digests(shop / "set") == digests(shop / "old")
    assert leftovers(shop / "set") == []


def test_a_build_without_an_example_leaves_the_old_one(old_in_place):
    shop = old_in_place
    (shop / "b.jsonl").write_text('{"instruction": "a", "output": ""}\n')
    recipe = write_recipe(shop, {"sources": [{"name": "s", "files": ["b.jsonl"]}]}, "empty.yaml")
    with pytest.raises(dollymix.BuildError):
        dollymix.merge(recipe, shop / "set", workers=1)
    assert digests(shop / "set") == digests(shop / "old")
    assert leftovers(shop / "set") == []


def test_where_the_disk_is_full_nothing_is_published_and_the_rerun_is_whole(old_in_place):
    shop = old_in_place
    script = (
        "import resource, signal, sys, dollymix.cli\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "dollymix.cli.main()\n"
    )
    arguments = ["merge", str(shop / "recipe.yaml"), "-o", str(shop / "set"), "--workers", "1"]
    full = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=WAIT
    )
    assert full.returncode == 1
    assert len(full.stderr.splitlines()) == 1
    assert digests(shop / "set") == digests(shop / "old")
    dollymix.merge(shop / "recipe.yaml", shop / "set", workers=1)
    assert digests(shop / "set") == digests(shop / "new")
    assert leftovers(shop / "set") == []
