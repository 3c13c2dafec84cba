"""Where a build may go, and how it gets there."""

import os
import subprocess
import sys

import pytest

import dollymix
from tests.laws import faults
from tests.laws.builds import digests, leftovers, run_command, scratch, write_recipe, write_rows


@pytest.fixture
def place():
    """A folder with a recipe in it."""
    with scratch() as folder:
        write_rows(folder / "a.jsonl", 50)
        write_recipe(folder, {"sources": [{"name": "s", "files": ["a.jsonl"]}]})
        yield folder


def merge(place, target="out", recipe="recipe.yaml", **settings):
    """A build beside its recipe."""
    return dollymix.merge(place / recipe, place / target, **{"workers": 1, **settings})


def test_a_new_place_with_its_folders_is_made(place):
    merge(place, "x/y/out")
    assert dollymix.verify(place / "x" / "y" / "out").faults == []
    assert os.listdir(place / "x" / "y") == ["out"]


def test_an_empty_directory_is_taken(place):
    (place / "out").mkdir()
    merge(place)
    assert dollymix.verify(place / "out").faults == []


def test_a_directory_that_is_no_build_is_refused_without_force(place):
    (place / "out").mkdir()
    (place / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(dollymix.UsageError):
        merge(place)
    assert (place / "out" / "thesis.txt").read_text() == "years of work"
    assert leftovers(place / "out") == []
    merge(place, force=True)
    assert dollymix.verify(place / "out").faults == []
    assert not (place / "out" / "thesis.txt").exists()


def test_a_directory_with_another_tools_manifest_is_no_build(place):
    (place / "out").mkdir()
    (place / "out" / "manifest.json").write_text('{"name": "my browser extension"}')
    (place / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(dollymix.UsageError):
        merge(place)
    assert (place / "out" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_never_replaced(place, force):
    (place / "out").write_text("a file")
    with pytest.raises(dollymix.UsageError):
        merge(place, force=force)
    assert (place / "out").read_text() == "a file"


def test_a_build_is_replaced_in_one_step_and_nothing_of_the_old_is_left(place):
    merge(place)
    first = digests(place / "out")
    splits = {"a": 0.5, "b": 0.5}
    recipe = {"sources": [{"name": "s", "files": ["a.jsonl"]}], "splits": splits}
    write_recipe(place, recipe, "other.yaml")
    merge(place, recipe="other.yaml")
    assert dollymix.verify(place / "out").faults == []
    assert not (place / "out" / "dolly" / "train").exists()
    merge(place, atomic=False)
    assert digests(place / "out") == first
    assert leftovers(place / "out") == []


def test_a_link_to_a_build_stays_a_link(place):
    merge(place, "real")
    os.symlink("real", place / "out")
    merge(place)
    assert (place / "out").is_symlink()
    assert dollymix.verify(place / "real").faults == []


@pytest.mark.parametrize("target", ["", "."])
def test_the_folder_of_the_inputs_is_not_taken_for_a_build(place, target):
    with pytest.raises(dollymix.UsageError):
        merge(place, target)
    assert (place / "a.jsonl").exists()


def test_a_reader_of_the_old_build_may_go_on_reading(place):
    merge(place)
    name = next(iter((place / "out" / "dolly" / "train").iterdir()))
    with open(name, "rb") as reader:
        write_rows(place / "a.jsonl", 5)
        merge(place)
        assert reader.read().count(b"\n") == 50


def killed(place, recipe, call):
    """A build of the recipe that is killed at a call."""
    command = [sys.executable, faults.__file__, "run", str(call), "SIGKILL", str(place / "report")]
    command += ["merge", str(place / recipe), "-o", str(place / "out"), "--workers", "1", "--quiet"]
    assert subprocess.run(command, capture_output=True).returncode == -9
    assert leftovers(place / "out") == [".out.building"]


def expected(place, recipe):
    """The build of the recipe in a place of its own."""
    merge(place, "expected", recipe)
    return digests(place / "expected")


def test_what_a_build_of_another_recipe_left_is_not_used(place):
    source = {"name": "s", "files": ["a.jsonl"]}
    write_recipe(place, {"sources": [source], "steps": ["exact_duplicates"]}, "other.yaml")
    for first, second in (("recipe.yaml", "other.yaml"), ("other.yaml", "recipe.yaml")):
        killed(place, first, 60)
        merge(place, recipe=second)
        assert digests(place / "out") == expected(place, second)
        assert leftovers(place / "out") == []


def test_what_a_build_of_another_input_left_is_not_used(place):
    killed(place, "recipe.yaml", 60)
    status = os.stat(place / "a.jsonl")
    data = (place / "a.jsonl").read_bytes().replace("가".encode(), "나".encode())
    (place / "a.jsonl").write_bytes(data)
    os.utime(place / "a.jsonl", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")


def test_a_broken_journal_is_not_used(place):
    for data in (b"", b"{", b"[]", b"{}", b'{"phase": "publishing"}', b'{"plan": 1}'):
        killed(place, "recipe.yaml", 60)
        (place / ".out.building" / "journal.json").write_bytes(data)
        merge(place)
        assert digests(place / "out") == expected(place, "recipe.yaml")
        assert leftovers(place / "out") == []


def test_a_working_file_that_became_shorter_is_not_used(place):
    killed(place, "recipe.yaml", 60)
    (lines,) = (place / ".out.building" / "out" / "dolly" / "train").glob("*.jsonl")
    lines.write_bytes(b"")
    try:
        merge(place)
    except dollymix.BuildError:
        assert not (place / "out").exists()
        merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")


def test_a_place_that_cannot_be_written_is_one_line(place):
    done = run_command("merge", str(place / "recipe.yaml"), "-o", "/proc/none/out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
