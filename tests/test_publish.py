"""Where a build may go, and how it gets there."""

import contextlib
import errno
import json
import os
import subprocess
import sys

import pytest

import dollymix
import dollymix.build
from dollymix import publish
from dollymix.plan import InputDigests
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


def test_where_the_parent_cannot_be_synced_the_old_build_stands(place, monkeypatch):
    merge(place)
    old = digests(place / "out")
    write_rows(place / "a.jsonl", 5)
    sync, calls = publish.sync_folder, []

    def fail_once(folder):
        # The first time, the working place is made; the second, the exchange is to be kept.
        calls.append(folder)
        if calls.count(place) == 2 and folder == place:
            raise OSError(errno.EIO, "Input/output error", str(folder))
        sync(folder)

    monkeypatch.setattr(publish, "sync_folder", fail_once)
    with pytest.raises(dollymix.BuildError, match="Nothing was published"):
        merge(place)
    assert digests(place / "out") == old
    assert calls[-1] == place
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


@pytest.mark.parametrize(("call", "number"), [("fsync", 3), ("fsync", 9), ("rename", 2)])
def test_what_fails_is_named_and_nothing_is_published(place, monkeypatch, call, number):
    merge(place)
    old = digests(place / "out")
    write_rows(place / "a.jsonl", 5)
    real, left = getattr(os, call), [number]

    def fail(*arguments, **settings):
        left[0] -= 1
        result = real(*arguments, **settings)
        if left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return result

    monkeypatch.setattr(publish.os, call, fail)
    with pytest.raises(dollymix.BuildError) as caught:
        merge(place)
    monkeypatch.undo()
    assert str(caught.value).startswith(str(place))
    assert "Input/output error. Nothing was published" in str(caught.value)
    assert digests(place / "out") == old
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


def test_a_signal_while_a_file_is_closed_is_told_as_one(place, monkeypatch):
    merge(place)
    wanted = digests(place / "out")
    real, left = os.close, [0]

    def stop(file):
        real(file)
        left[0] -= 1
        if not left[0]:
            raise SystemExit(143)

    number = 0
    while left[0] <= 0:
        number += 1
        left[0] = number
        with monkeypatch.context() as patch, contextlib.suppress(SystemExit):
            patch.setattr(publish.os, "close", stop)
            merge(place, f"out-{number}")
        merge(place, f"out-{number}")
        assert digests(place / f"out-{number}") == wanted
        assert leftovers(place / f"out-{number}") == []
    assert number > 10


def test_nothing_is_synced_again_after_a_failed_sync(place, monkeypatch):
    """What a failed sync was about is written anew by the next run, never synced a second time."""
    real, synced = os.fsync, []

    def fail(file):
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        if len(synced) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file)

    monkeypatch.setattr(publish.os, "fsync", fail)
    with pytest.raises(dollymix.BuildError):
        merge(place)
    assert len(synced) == 3


def test_a_file_system_that_syncs_no_folders_can_be_built_on(place, monkeypatch):
    real = os.fsync

    def no_folders(file):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(file)

    monkeypatch.setattr(publish.os, "fsync", no_folders)
    merge(place)
    assert dollymix.verify(place / "out").faults == []


def test_new_folders_are_durable_with_the_build_in_them(place, monkeypatch):
    sync, synced = publish.sync_folder, []
    monkeypatch.setattr(publish, "sync_folder", lambda path: (synced.append(path), sync(path)))
    merge(place, "x/y/out")
    assert {place, place / "x", place / "x" / "y"} <= set(synced)


def test_each_file_is_synced_once_before_the_exchange(place, monkeypatch):
    real, synced = os.fsync, []

    def note(file):
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        real(file)

    monkeypatch.setattr(publish.os, "fsync", note)
    merge(place)
    out = f"{place}/.out.building/out/"
    names = [path.removeprefix(out) for path in synced if path.startswith(out)]
    built = {p.relative_to(place / "out").as_posix() for p in (place / "out").rglob("*")}
    files = [name for name in names if (place / "out" / name).is_file()]
    assert set(files) == {name for name in built if (place / "out" / name).is_file()}
    assert len(files) == len(set(files))
    assert synced[-1] == str(place)


def test_a_finished_build_of_other_inputs_is_not_taken_for_the_new_one(place):
    """Killed after the exchange, before the working place was gone; then the input was changed."""
    merge(place)
    write_rows(place / "a.jsonl", 7)
    stage = publish.Stage(place / "out")
    stage.open()
    manifest = publish.sha256_of(place / "out" / "manifest.json")
    stage.write_journal({"phase": "publishing", "build": "another", "manifest": manifest})
    stage.release()
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


def test_a_finished_build_of_another_recipe_is_not_published(place):
    """Killed before the exchange; then something else is asked for, and that fails."""
    merge(place)
    old = digests(place / "out")
    write_rows(place / "b.jsonl", 3)
    write_recipe(place, {"sources": [{"name": "s", "files": ["b.jsonl"]}]}, "other.yaml")
    stop_before_exchange(place, "other.yaml")
    (place / "a.jsonl").write_text("")
    with pytest.raises(dollymix.BuildError):
        merge(place)
    assert digests(place / "out") == old


def stop_before_exchange(place, recipe):
    """A build that is stopped when all of it is durable, and nothing is exchanged."""

    def stop(new, old):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "exchange", stop)
        with pytest.raises(KeyboardInterrupt):
            merge(place, recipe=recipe)


def test_a_finished_build_is_published_by_the_next_run_without_another_conversion(place):
    merge(place)
    write_rows(place / "a.jsonl", 9)
    stop_before_exchange(place, "recipe.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dollymix.build, "_build", None)
        merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


@pytest.mark.parametrize("name", ["dolly/train/00000.jsonl", "manifest.json", "rejects.jsonl"])
def test_a_finished_build_that_was_changed_is_not_published(place, name):
    merge(place)
    (place / "a.jsonl").write_text('{"instruction": "1", "output": "2"}\n{"instruction": "1"}\n')
    stop_before_exchange(place, "recipe.yaml")
    path = place / ".out.building" / "out" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


def test_a_wrong_call_keeps_what_an_earlier_one_has_done(place):
    killed(place, "recipe.yaml", 60)
    before = sorted(path.name for path in (place / ".out.building").rglob("*"))
    write_recipe(place, {"sources": [{"name": "s", "files": ["misspelt.jsonl"]}]}, "wrong.yaml")
    with pytest.raises(dollymix.InputError):
        merge(place, recipe="wrong.yaml")
    assert sorted(path.name for path in (place / ".out.building").rglob("*")) == before
    with pytest.raises(dollymix.InputError):
        merge(place, "fresh", recipe="wrong.yaml")
    assert leftovers(place / "fresh") == [".out.building"]


def test_what_stands_between_the_two_steps_of_not_atomic_is_put_back(place):
    merge(place)
    old = digests(place / "out")
    (place / ".out.building").mkdir()
    os.rename(place / "out", place / ".out.building" / "old")
    (place / "a.jsonl").write_text("")
    with pytest.raises(dollymix.BuildError):
        merge(place)
    assert digests(place / "out") == old
    assert leftovers(place / "out") == []


def test_a_flipped_bit_in_a_working_file_is_not_built_on(place):
    source = {"name": "s", "files": ["a.jsonl"]}
    write_recipe(place, {"sources": [source], "steps": ["exact_duplicates"]}, "steps.yaml")
    for name in ("work/lines", "work/blocks", "work/step-0", "journal.json"):
        killed(place, "steps.yaml", 90)
        path = place / ".out.building" / name
        data = bytearray(path.read_bytes())
        data[10] ^= 4
        path.write_bytes(data)
        merge(place, recipe="steps.yaml")
        assert digests(place / "out") == expected(place, "steps.yaml")
        assert leftovers(place / "out") == []


def test_a_refused_file_is_told_of_after_a_crash_too(place):
    """It was taken back before the build was killed: the manifest says so as without the kill."""
    rows = json.dumps([{"instruction": f"{n}?", "output": f"{n}!"} for n in range(40)], indent=1)
    (place / "broken.json").write_text(rows[: len(rows) * 3 // 4])
    sources = [{"name": "s", "files": ["broken.json", "a.jsonl"]}]
    write_recipe(place, {"sources": sources, "on_bad_file": "skip"}, "skip.yaml")
    killed(place, "skip.yaml", 90)
    merge(place, recipe="skip.yaml")
    assert digests(place / "out") == expected(place, "skip.yaml")


def test_a_file_that_a_crashed_run_left_is_not_published(place):
    killed(place, "recipe.yaml", 60)
    (place / ".out.building" / "out" / "dolly" / "validation").mkdir()
    (place / ".out.building" / "out" / "dolly" / "train" / "00009.jsonl").write_text("{}\n")
    (place / ".out.building" / "out" / "stray.txt").write_text("stray")
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert sorted(path.name for path in (place / "out" / "dolly").iterdir()) == ["train"]


def test_nobody_else_can_put_a_file_where_a_build_writes(place):
    (place / "elsewhere").mkdir()
    os.symlink("elsewhere", place / ".out.building")
    with pytest.raises(dollymix.BuildError, match="no folder of yours"):
        merge(place)
    assert os.listdir(place / "elsewhere") == []
    os.unlink(place / ".out.building")
    killed(place, "recipe.yaml", 60)
    assert (place / ".out.building").stat().st_mode & 0o777 == 0o700
    merge(place)
    assert (place / "out").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask():
    """The mask of this process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_in_the_place_of_the_lock_is_not_followed(place):
    (place / ".out.building").mkdir()
    (place / "precious").write_text("precious")
    os.symlink("../precious", place / ".out.building" / "lock")
    with pytest.raises(dollymix.BuildError):
        merge(place)
    assert (place / "precious").read_text() == "precious"


def test_a_second_build_in_this_process_finds_no_stale_lock_after_a_failure(place, monkeypatch):
    monkeypatch.setattr(publish.Stage, "_make_folders", no_space)
    with pytest.raises(dollymix.BuildError, match="No space left"):
        merge(place)
    monkeypatch.undo()
    merge(place)
    assert leftovers(place / "out") == []


def no_space(*_):
    """A call on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_input_that_changes_behind_its_conversion_is_not_published(place, monkeypatch):
    """Between the end of its conversion and the end of its digest."""
    get = InputDigests.get

    def late(digests):
        write_rows(place / "a.jsonl", 51)
        return get(digests)

    monkeypatch.setattr(InputDigests, "get", late)
    with pytest.raises(dollymix.InputError) as caught:
        merge(place)
    assert caught.value.reason == "io.changed"
    assert not (place / "out").exists()


def test_out_of_memory_is_one_line_and_keeps_what_is_done(place, monkeypatch):
    def none_left(*_):
        raise MemoryError

    monkeypatch.setattr(dollymix.build, "_export", none_left)
    with pytest.raises(dollymix.BuildError, match="ran out of memory; fewer --workers"):
        merge(place)
    assert leftovers(place / "out") == [".out.building"]


def test_many_shards_do_not_need_many_open_files(place):
    with scratch() as folder:
        stage = publish.Stage(folder / "out")
        stage.open()
        for number in range(200):
            stage.file(f"out/{number}").write(b"%d" % number)
        stage.file("out/0").write(b" more")
        assert sum(file._file >= 0 for file in stage._files.values()) < 100
        marks = stage.marks()
        stage.sync()
        stage.release()
        again = publish.Stage(folder / "out")
        again.open()
        again.restore(marks)
        assert (again.out / "0").read_bytes() == b"0 more"
        assert (again.out / "199").read_bytes() == b"199"
        again.remove()


def test_a_file_taken_back_is_marked_by_what_is_left_of_it(place):
    with scratch() as folder:
        stage = publish.Stage(folder / "out")
        stage.open()
        file = stage.file("work/lines")
        file.write(b"first")
        kept = stage.marks()
        file.write(b"second")
        stage.restore(kept)
        assert stage.marks() == kept
        file.write(b" again")
        assert stage.marks()["work/lines"].length == 11
        stage.sync()
        marks = stage.marks()
        stage.release()
        other = publish.Stage(folder / "out")
        other.open()
        other.restore(marks)
        with pytest.raises(dollymix.BuildError, match="not what its journal says"):
            publish.Appender(other.root / "work" / "lines", publish.Mark(12, "0"))
        other.remove()
