"""Where a build may go, and how it gets there."""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

import dollymix
import dollymix.build
from dollymix import durable, publish
from dollymix.errors import StoppedError
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
    sync, calls = durable.sync_folder, []

    def fail_once(folder):
        # The first time, the working place is made; the second, the exchange is to be kept.
        calls.append(folder)
        if calls.count(place) == 2 and folder == place:
            raise OSError(errno.EIO, "Input/output error", str(folder))
        sync(folder)

    monkeypatch.setattr(durable, "sync_folder", fail_once)
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
    sync, synced = durable.sync_folder, []
    monkeypatch.setattr(durable, "sync_folder", lambda path: (synced.append(path), sync(path)))
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
        patch.setattr(durable, "exchange", stop)
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
            durable.Appender(other.root / "work" / "lines", durable.Mark(12, "0"))
        other.remove()


def test_a_file_taken_back_can_be_written_before_it_is_marked(place):
    file = durable.Appender(place / "lines")
    file.write(b"first, second")
    file.truncate(5)
    file.write(b" and third")
    assert (place / "lines").read_bytes() == b"first and third"
    mark = file.mark()
    file.close()
    again = durable.Appender(place / "lines", mark)
    assert again.mark() == mark
    again.close()


def test_a_file_taken_back_that_became_shorter_is_not_marked(place):
    file = durable.Appender(place / "lines")
    file.write(b"first, second")
    file.truncate(9)
    os.truncate(place / "lines", 3)
    with pytest.raises(dollymix.BuildError, match="lines: became shorter while it was written"):
        file.mark()
    file.close()


def test_files_at_rest_are_taken_back_and_those_without_a_mark_removed(place):
    stage = publish.Stage(place / "out")
    stage.open()
    for number in range(200):
        stage.file(f"out/{number}").write(b"%d first" % number)
    marks = stage.marks()
    for number in range(200):
        stage.file(f"out/{number}").write(b" second")
    stage.file("out/later").write(b"later")
    stage.restore(marks)
    assert not (stage.out / "later").exists()
    assert stage.marks() == marks
    for number in range(200):
        assert (stage.out / f"{number}").read_bytes() == b"%d first" % number
    stage.file("out/later").write(b"again")
    assert (stage.out / "later").read_bytes() == b"again"
    stage.remove()


def test_much_that_is_written_is_synced_as_it_comes(place, monkeypatch):
    real, synced = os.fsync, []
    monkeypatch.setattr(publish.os, "fsync", lambda file: (synced.append(file), real(file)))
    monkeypatch.setattr(durable, "SYNC_BYTES", 1000)
    file = durable.Appender(place / "lines")
    for _ in range(100):
        file.write(b"x" * 99)
    assert len(synced) == 9
    file.close()


def test_a_system_that_takes_no_advice_on_its_cache_builds_the_same(place, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise")
    merge(place)
    monkeypatch.undo()
    assert digests(place / "out") == expected(place, "recipe.yaml")


def test_a_build_that_another_is_writing_is_left_alone(place):
    stage = publish.Stage(place / "out")
    stage.open()
    stage.file("work/lines").write(b"of the other")
    with pytest.raises(
        dollymix.BuildError, match=r"another build is writing it\. Wait for its end"
    ):
        merge(place)
    assert (place / ".out.building" / "work" / "lines").read_bytes() == b"of the other"
    assert not (place / "out").exists()
    stage.remove()
    merge(place)
    assert leftovers(place / "out") == []


def remove_before(monkeypatch, owner, call, folder):
    """Let another build remove its working place just before a call, once."""
    real, left = getattr(owner, call), [1]

    def late(*arguments, **settings):
        if left[0] and arguments[0] in (folder, folder / "lock"):
            left[0] = 0
            shutil.rmtree(folder)
        return real(*arguments, **settings)

    monkeypatch.setattr(owner, call, late)


@pytest.mark.parametrize("call", ["lstat", "open", "stat"])
def test_a_place_that_its_build_removes_meanwhile_is_made_anew(place, monkeypatch, call):
    """Found there, and gone before it is looked at, before its lock is opened or once it is."""
    building = place / ".out.building"
    building.mkdir()
    (building / "of another").touch()
    remove_before(monkeypatch, publish.os, call, building)
    stage = publish.Stage(place / "out")
    stage.open()
    monkeypatch.undo()
    assert not (building / "of another").exists()
    assert (building / "lock").exists()
    with pytest.raises(dollymix.BuildError, match="another build is writing it"):
        publish.Stage(place / "out").open()
    stage.remove()


def test_a_lock_that_was_replaced_is_not_taken_for_the_place(place, monkeypatch):
    building, real, inodes = place / ".out.building", publish.fcntl.flock, []

    def late(file, how):
        real(file, how)
        inodes.append(os.fstat(file).st_ino)
        if len(inodes) == 1:
            # The build that held it has removed it, and a third one has made its own.
            shutil.move(building, place / "removed")
            building.mkdir()
            (building / "lock").touch()

    monkeypatch.setattr(publish.fcntl, "flock", late)
    stage = publish.Stage(place / "out")
    stage.open()
    assert len(inodes) == 2
    assert (building / "lock").stat().st_ino == inodes[1]
    stage.remove()


def test_a_place_of_another_user_is_refused_without_force(place, monkeypatch):
    merge(place)
    monkeypatch.setattr(publish.os, "geteuid", lambda: os.stat(place).st_uid + 1)
    with pytest.raises(dollymix.UsageError, match="belongs to another user"):
        publish.check_target(place / "out", force=False)
    publish.check_target(place / "out", force=True)
    (place / ".new.building").mkdir()
    with pytest.raises(dollymix.BuildError, match="is no folder of yours"):
        publish.Stage(place / "new").open()


@pytest.mark.parametrize("sync", ["once", "ever"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("atomic", [False, True])
def test_a_parent_that_cannot_be_synced(place, monkeypatch, atomic, there, sync):
    """All is as it was; where that cannot be had, the next run makes it durable."""
    if there:
        merge(place)
        write_rows(place / "a.jsonl", 5)
    old = digests(place / "out") if there else {}
    swap, real = publish.Stage._swap, durable.sync_folder

    def fail(folder):
        if folder == place:
            if sync == "ever":
                monkeypatch.setattr(publish.os, "rename", no_space)
                monkeypatch.setattr(durable, "exchange", no_space)
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))
        real(folder)

    def swap_badly(stage, **settings):
        monkeypatch.setattr(durable, "sync_folder", fail)
        swap(stage, **settings)

    monkeypatch.setattr(publish.Stage, "_swap", swap_badly)
    with pytest.raises(dollymix.BuildError) as caught:
        merge(place, atomic=atomic)
    monkeypatch.undo()
    assert len(str(caught.value).splitlines()) == 1
    if sync == "once":
        assert "Nothing was published" in str(caught.value)
        assert (digests(place / "out") if there else {}) == old
        assert (place / "out").exists() == there
    else:
        assert "is the new build, but might not outlive a power cut" in str(caught.value)
        assert digests(place / "out") == expected(place, "recipe.yaml")
    merge(place, atomic=atomic)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


def test_a_second_step_of_not_atomic_that_fails_is_taken_back(place, monkeypatch):
    merge(place)
    old = digests(place / "out")
    write_rows(place / "a.jsonl", 5)
    real = os.rename

    def fail(source, target):
        if source == place / ".out.building" / "out":
            no_space()
        real(source, target)

    monkeypatch.setattr(publish.os, "rename", fail)
    with pytest.raises(dollymix.BuildError, match=r"No space left.*Nothing was published"):
        merge(place, atomic=False)
    monkeypatch.undo()
    assert digests(place / "out") == old
    merge(place, atomic=False)
    assert digests(place / "out") == expected(place, "recipe.yaml")


def test_a_journal_whose_state_is_not_what_its_digest_says_is_none(place):
    stage = publish.Stage(place / "out")
    stage.open()
    stage.write_journal({"phase": "publishing", "build": "x"})
    assert stage.journal() == {"phase": "publishing", "build": "x"}
    path = place / ".out.building" / "journal.json"
    path.write_bytes(path.read_bytes().replace(b"publishing", b"publishinG"))
    assert stage.journal() is None
    assert stage.finish_publishing("x") is False
    stage.remove()


def test_a_finished_build_of_which_a_file_is_gone_is_not_published(place):
    merge(place)
    write_rows(place / "a.jsonl", 9)
    stop_before_exchange(place, "recipe.yaml")
    (place / ".out.building" / "out" / "dolly" / "train" / "00000.jsonl").unlink()
    merge(place)
    assert digests(place / "out") == expected(place, "recipe.yaml")
    assert leftovers(place / "out") == []


class Library:
    """The C library of another system: it notes a call, and answers it."""

    def __init__(self, **calls):
        for name, answer in calls.items():
            setattr(self, name, answer)


def exchange_on(monkeypatch, library, platform="linux"):
    """Let the exchange be done by this library."""
    monkeypatch.setattr(durable.sys, "platform", platform)
    monkeypatch.setattr(durable.ctypes, "CDLL", lambda *_, **__: library)


@pytest.mark.parametrize("number", [None, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_where_two_directories_cannot_change_places_the_old_build_stands(
    place, monkeypatch, number
):
    merge(place)
    old = digests(place / "out")
    write_rows(place / "a.jsonl", 5)

    def fail(*_):
        ctypes.set_errno(number)
        return -1

    exchange_on(monkeypatch, Library() if number is None else Library(renameat2=fail))
    with pytest.raises(StoppedError) as caught:
        merge(place)
    monkeypatch.undo()
    told = os.strerror(number or errno.ENOSYS)
    assert str(caught.value).startswith(
        f"{place}/out: cannot be replaced in one step here ({told})"
    )
    assert "Give --not-atomic" in str(caught.value)
    assert digests(place / "out") == old
    merge(place, atomic=False)
    assert digests(place / "out") == expected(place, "recipe.yaml")


def test_an_exchange_that_fails_otherwise_names_the_place(place, monkeypatch):
    merge(place)
    old = digests(place / "out")
    write_rows(place / "a.jsonl", 5)
    exchange_on(monkeypatch, Library(renameat2=lambda *_: ctypes.set_errno(errno.EIO) or -1))
    with pytest.raises(dollymix.BuildError) as caught:
        merge(place)
    assert str(caught.value).startswith(f"{place}/out: Input/output error. Nothing was published")
    assert digests(place / "out") == old


def test_the_exchange_of_another_system(place, monkeypatch):
    calls = []
    library = Library(renamex_np=lambda *arguments: calls.append(arguments) or 0)
    exchange_on(monkeypatch, library, "darwin")
    durable.exchange(place / "new", place / "old")
    # RENAME_SWAP of <sys/stdio.h> is 2, as RENAME_EXCHANGE of Linux is.
    assert calls == [(os.fsencode(place / "new"), os.fsencode(place / "old"), 2)]


def test_a_folder_that_cannot_be_read_is_not_passed_over(place, monkeypatch):
    """What is below it would be published without being durable."""
    real = os.scandir

    def fail(path):
        if str(path).endswith(".building/out/dolly"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(dollymix.BuildError, match=r"Permission denied\. Nothing was published"):
        merge(place)
    assert not (place / "out").exists()


def test_an_error_that_names_its_file_keeps_the_name(place):
    (place / "lines").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        durable.Appender(place / "lines")
    assert os.fspath(caught.value.filename) == str(place / "lines")
