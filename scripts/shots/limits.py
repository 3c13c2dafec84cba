"""What a machine may lack, and what others may do beside a build."""

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from shots.judge import files_of, is_early, temporary_files, tree_of
from shots.outcome import Outcome, Series
from shots.place import Place, remove

TOO_LONG = 300
CGROUPS = Path("/sys/fs/cgroup/memory")


def series(place: Place, short: bool, n: int | None) -> Iterator[Outcome]:
    """Every series of this file."""
    two = place._replace(workers=2)
    descriptors = range(17, 90, 20 if short else 3)
    yield _limited(place, "RLIMIT_NOFILE from 17", resource.RLIMIT_NOFILE, descriptors)
    yield _limited(two, "RLIMIT_NOFILE from 17, 2 w.", resource.RLIMIT_NOFILE, descriptors)
    sizes = range(100 << 20, 1200 << 20, (220 if short else 55) << 20)
    # Where addresses run out, libraries may crash: the sets must stand all the same.
    yield _limited(place, "RLIMIT_AS 100 MiB and more", resource.RLIMIT_AS, sizes, (70, -6, -11))
    yield _limited(
        two, "RLIMIT_AS 100 MiB and more, 2 w.", resource.RLIMIT_AS, sizes, (70, -6, -11)
    )
    yield _memory(two, range(20, 140, 60 if short else 10))
    yield _vanished(two, n or (4 if short else 40))
    yield _twice(two, n or (2 if short else 20))
    yield _links(place, n or (3 if short else 50))


def look(
    place: Place,
    out: str,
    done: subprocess.CompletedProcess[str],
    allowed: tuple[int, ...] = (0, 1),
) -> list[str]:
    """What is wrong after a run that may have failed: how it ended, and what stands."""
    faults = [said_badly(done, allowed)]
    stands = standing(place, out)
    if stands not in ("old", "new"):
        faults.append(stands)
    if done.returncode == 0 and stands != "new":
        faults.append(f"exit 0, but {stands}")
    return faults


def said_badly(done: subprocess.CompletedProcess[str], allowed: tuple[int, ...] = (0, 1)) -> str:
    """What is wrong with how a run ended and what it said."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    if "Traceback" in done.stderr or "Exception ignored" in done.stderr:
        return f"traceback: {done.stderr[-500:]}"
    if done.returncode not in allowed:
        return f"exit {done.returncode}: {done.stderr[-300:]}"
    if done.returncode == 1 and len(lines) != 1:
        return f"{len(lines)} lines: {done.stderr[-400:]}"
    return f"says {done.stderr}" if "None" in done.stderr else ""


def standing(place: Place, out: str) -> str:
    """`old`, `new`, or what else stands in a build's place."""
    folder = Path(out)
    if not folder.exists():
        return "nothing stands there"
    tree = tree_of(folder)
    if tree == tree_of(place.reference(1)):
        return "old"
    return "new" if tree == tree_of(place.reference(2)) else f"neither: {files_of(folder)}"


def again(place: Place, out: str) -> list[str]:
    """What is wrong after the next run."""
    done = run(place.command(2, out))
    faults = [said_badly(done, (0,)), "" if standing(place, out) == "new" else standing(place, out)]
    beside = sorted(set(os.listdir(Path(out).parent)) - {Path(out).name}) + temporary_files()
    return [*faults, f"leaves {beside}" if beside else ""]


def run(
    command: list[str], before: Callable[[], None] | None = None, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A command run to its end."""
    return ended(start(command, before, cwd))


def start(
    command: list[str], before: Callable[[], None] | None = None, cwd: str | None = None
) -> subprocess.Popen[str]:
    """A command that runs."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, preexec_fn=before, cwd=cwd
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """A command at its end; one that does not come to it has the status 99."""
    try:
        said = process.communicate(timeout=TOO_LONG)
        return subprocess.CompletedProcess(process.args, process.returncode, *said)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return subprocess.CompletedProcess(process.args, 99, "", "did not end")


def fresh(place: Place, name: str) -> str:
    """A place for a build, with the old set in it and nothing beside."""
    folder = place.root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    temporary = place.root / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    out = str(folder / "o")
    place.restore(out)
    place.reference(2)
    return out


def killed_at(place: Place, out: str, call: str, number: int) -> None:
    """Let a build be killed at one of its calls at or beside its output."""
    from shots.drive import touched

    paths = [word for path in touched(place, out) for word in ("-P", path)]
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
    command += ["-e", f"inject={call}:signal=KILL:when={number}", *paths, *place.command(2, out)]
    done = run(command)
    if done.returncode not in (-9, 137):
        raise RuntimeError(f"{call} #{number} did not come: {done.stderr}")


def _limited(
    place: Place, name: str, kind: int, values: range, crashes: tuple[int, ...] = ()
) -> Outcome:
    found = Series(name)
    failed = crashed = 0
    for value in values:
        out = fresh(place, "limited")
        done = run(
            place.command(2, out), lambda limit=value: resource.setrlimit(kind, (limit, limit))
        )
        failed += done.returncode != 0
        crashed += done.returncode in crashes
        for report in (
            (place.root / "tmp").glob("dollymix-fault-*") if done.returncode == 70 else ()
        ):
            report.unlink()
        # Below what the interpreter needs for its own start, the words are not ours.
        early = done.returncode != 0 and is_early(done.stderr)
        faults = [] if early else look(place, out, done, (0, 1, *crashes))
        stands = standing(place, out)
        faults += [stands] if stands not in ("old", "new") else []
        found.shot(f"{value}", *faults, *again(place, out))
    found.note = f"{failed} failed runs" + (f", {crashed} crashes of libraries" if crashed else "")
    return found.outcome()


def _memory(place: Place, sizes: range) -> Outcome:
    """A control group with little memory: whoever needs more is killed."""
    found = Series("memory of a control group, 20 to 130 MB, 2 w.")
    group = CGROUPS / f"dollymix-faults-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    except OSError as error:
        found.note = f"not possible here: {error.strerror}"
        return found.outcome()
    killed = 0
    try:
        for megabytes in sizes:
            out = fresh(place, "memory")
            (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
            joined = group / "cgroup.procs"
            done = run(
                place.command(2, out),
                lambda file=joined: file.write_text(str(os.getpid())) and None,
            )
            killed += done.returncode != 0
            found.shot(f"{megabytes} MB", *look(place, out, done, (0, 1, -9)), *again(place, out))
    finally:
        group.rmdir()
    found.note = f"{killed} failed runs"
    return found.outcome()


def _vanished(place: Place, count: int) -> Outcome:
    """What a build stands on is taken away while it runs."""
    found = Series("working place, its parent, the output, or the current folder vanish, 2 w.")
    chance = random.Random(5)
    began = time.monotonic()
    run(place.command(2, fresh(place, "vanish")))
    lasts = time.monotonic() - began
    for number in range(count):
        out = fresh(place, "vanish")
        what = ("place", "parent", "output", "current")[number % 4]
        here = place.root / "here"
        here.mkdir(exist_ok=True)
        process = start(place.command(2, out), cwd=str(here) if what == "current" else None)
        time.sleep(chance.uniform(0.2, 1) * lasts)
        folder = Path(out)
        target = {
            "place": folder.with_name(".o.building"),
            "parent": folder.parent,
            "output": folder,
            "current": here,
        }[what]
        gone = place.root / "gone"
        shutil.rmtree(gone, ignore_errors=True)
        try:
            target.rename(gone)
        except FileNotFoundError:
            what = f"{what} (was not there)"
        done = ended(process)
        faults = [said_badly(done)]
        if what in ("place", "current"):
            faults += look(place, out, done)
        # What was taken away by somebody else is theirs; the build goes on in what is there then.
        folder.parent.mkdir(exist_ok=True)
        found.shot(f"{number} {what}", *faults, *again(place, out))
    return found.outcome()


def _twice(place: Place, count: int) -> Outcome:
    """A second build into the same place, and a third after the first was killed."""
    found = Series("a second build, a killed first one, 2 w.")
    slowest = 0.0
    for number in range(count):
        out = fresh(place, "twice")
        first = subprocess.Popen(
            place.command(2, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        lock = Path(out).with_name(".o.building") / "lock"
        while not lock.exists() and first.poll() is None:
            time.sleep(0.005)
        os.kill(first.pid, 19)
        began = time.monotonic()
        second = run(place.command(2, out))
        slowest = max(slowest, time.monotonic() - began)
        faults = [said_badly(second, (1,))]
        if "another build" not in second.stderr:
            faults.append(f"says {second.stderr}")
        if standing(place, out) != "old":
            faults.append(standing(place, out))
        first.kill()
        first.wait()
        found.shot(f"{number}", *faults, *again(place, out))
    found.note = f"slowest second build {slowest:.1f} s"
    return found.outcome()


def _links(place: Place, count: int) -> Outcome:
    """The output is swapped by a link while the exchange is held up; nothing goes through it."""
    found = Series("the output swapped by a link, just before the exchange")
    for number in range(count):
        out = fresh(place, "links")
        elsewhere = place.root / "elsewhere"
        shutil.rmtree(elsewhere, ignore_errors=True)
        shutil.copytree(place.reference(1), elsewhere)
        before = tree_of(elsewhere)
        held = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=renameat2"]
        held += ["-e", "inject=renameat2:delay_enter=500000", *place.command(2, out)]
        process = start(held)
        manifest = Path(out).with_name(".o.building") / "out" / "manifest.json"
        while process.poll() is None:
            if manifest.exists() and b"publishing" in _read(manifest.parents[1] / "journal.json"):
                break
            time.sleep(0.01)
        swapped = process.poll() is None
        if swapped:
            os.rename(out, f"{out}.moved")
            os.symlink(elsewhere, out)
        done = ended(process)
        faults = [said_badly(done), "" if swapped else "came too late"]
        if tree_of(elsewhere) != before:
            faults.append("wrote through the link")
        found.shot(f"{number}", *faults)
        remove(out)
    return found.outcome()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
