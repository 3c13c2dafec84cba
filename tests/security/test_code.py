"""Data never becomes code, a process, a connection, or a file outside the output."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers import merge, read_lines, write_lines
from tests.security.conftest import FULL, ROOT, driver, results, surroundings

SOURCES = sorted((ROOT / "src").rglob("*.py"))
ROWS = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(3)]
LEFT = Path("/tmp")
BEFORE = set(LEFT.glob("*pwned*"))


def test_no_input_causes_code_a_process_or_a_connection(corpus):
    assert [event for one in corpus.found for event in one["events"]] == []
    written = {path for one in corpus.found for path in one["written"]}
    outside = {path for path in written if not Path(path).is_relative_to(corpus.place)}
    assert outside <= {"/dev/null"}
    assert len(written) > len(corpus.found)


def test_no_payload_has_run(corpus):
    """Where the payloads of the cases would leave a file, had they run."""
    for folder in (LEFT, Path.cwd(), corpus.place):
        assert set(folder.glob("*pwned*")) <= BEFORE


def test_the_watch_sees_what_it_is_there_for(tmp_path):
    """The hook of the test above, tried on what it must catch."""
    script = """
import json, os, pickle, socket, subprocess, sys
from tests.security.drive import Watch
watch = Watch()
sys.addaudithook(watch)
watch.on = True
pickle.loads(b"cos\\nsystem\\n(S'true'\\ntR.")
eval("1 + 1")
exec("x = 1")
subprocess.run(["true"])
socket.socket().close()
open(sys.argv[1], "w").close()
os.symlink("x", sys.argv[1] + "-link")
watch.on = False
print(json.dumps([sorted({event for event, _ in watch.events}), sorted(watch.written)]))
"""
    target = tmp_path / "written"
    done = subprocess.run(
        [sys.executable, "-c", script, target],
        env=surroundings(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    events, written = json.loads(done.stdout)
    assert {"pickle.find_class", "os.system", "compile", "exec", "subprocess.Popen"} <= set(events)
    assert str(target) in written
    assert f"{target}-link" in written


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, which is not there")
def test_no_system_call_writes_outside_the_output(sample, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    plan = [
        ["merge", case.path, "-o", place / case.id, "--workers", 1, "--quiet"]
        for case in sample
        if FULL or case.path.parent.name not in ("schema", "csv", "enc")
    ]
    calls = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,symlink,symlinkat,link"
    calls += ",linkat,unlink,unlinkat,mknod,mknodat,chmod,fchmodat,truncate"
    log = tmp_path / "calls"
    command = [
        "strace", "-f", "-y", "-s", "4096", "-o", str(log), "-e", f"trace={calls}",
        *driver(tmp_path, plan),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=surroundings(TMPDIR=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
    )  # fmt: skip
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("needs leave to trace processes")
    assert done.returncode == 0, done.stderr[-1000:]
    lines = log.read_text(errors="replace").splitlines()
    assert sum(str(place) in line for line in lines) > len(results(tmp_path)) == len(plan)
    assert [line for line in lines if writes(line) and not is_inside(line, tmp_path)] == []


def writes(line):
    """True for a call that changed a file or a folder."""
    if " = -1 " in line or not re.match(r"[0-9]+ +[a-z0-9]+\(", line):
        return False
    if re.search(r" (open|openat)\(", line):
        return bool(re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", line))
    return True


def is_inside(line, place):
    """True where every path that the call names is below the place, or is the null device."""
    paths = [found for found in re.findall(r'"((?:[^"\\]|\\.)*)"', line) if found]
    folder = re.search(r"\((?:AT_FDCWD|[0-9]+)<([^>]*)>", line)
    whole = [
        path if path.startswith("/") or not folder else f"{folder[1]}/{path}" for path in paths
    ]
    return all(Path(path).is_relative_to(place) or path == "/dev/null" for path in whole)


def test_a_merge_needs_no_network(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, which is not there")
    offline = ["unshare", "-n"]
    if subprocess.run([*offline, "true"], capture_output=True).returncode:
        offline = ["unshare", "-r", "-n"]
    if subprocess.run([*offline, "true"], capture_output=True).returncode:
        pytest.skip("needs leave to make a network namespace")
    path = write_lines(tmp_path / "a.jsonl", ROWS)
    command = [*offline, sys.executable, "-m", "dollymix", "merge", path, "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, "--workers", "2"], env=surroundings(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(read_lines(tmp_path / "out")) == 3


def test_no_module_is_taken_from_the_folder_the_user_is_in(tmp_path):
    """A folder of downloaded data may hold a file named like a module."""
    for name in ("msgspec", "json", "struct", "numpy", "pyarrow", "xxhash", "dollymix"):
        (tmp_path / f"{name}.py").write_text(f"open('pwned_by_{name}', 'w').close()\n")
    write_lines(tmp_path / "a.jsonl", ROWS)
    script = "import sys; from dollymix.cli import main; sys.argv[0] = 'dollymix'; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "merge", "a.jsonl", "-o", "out", "--workers", "2"],
        cwd=tmp_path, env=surroundings(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("pwned*"))


# --- what the source may not say --------------------------------------------------------------

RUNS_CODE = {
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "torch",
    "cloudpickle",
    "runpy",
    "code",
    "codeop",
    "pty",
    "xmlrpc",
    "ftplib",
    "telnetlib",
    "smtplib",
    "urllib.request",
    "http.client",
    "socket",
    "requests",
}
PICKLES = {"convert.py", "framing/__init__.py", "engine/local.py"}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_the_source_has_no_way_from_data_to_code(path):
    tree = ast.parse(path.read_text())
    name = path.relative_to(ROOT / "src" / "dollymix").as_posix()
    imported = set(imports(tree))
    assert not imported & RUNS_CODE
    # Pickles pass between our own processes; elsewhere a buffer is named, nothing is loaded.
    assert "pickle" not in imported or name in PICKLES
    assert "subprocess" not in imported or name == "engine/local.py"
    for function, call in calls(tree):
        assert function not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen")
        assert not function.startswith(("os.exec", "os.spawn", "os.posix_spawn"))
        assert "pickle.load" not in function or name == "engine/local.py"
        # Modules of ours by their file's name, and a user's by the dotted name of a recipe.
        assert function != "importlib.import_module" or name in (
            "formats/__init__.py", "steps/__init__.py", "__init__.py", "modules.py",
        )  # fmt: skip
        words = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert words.get("shell", "False") == "False"
        assert words.get("allow_pickle", "False") == "False"
        assert "trust_remote_code" not in words


def test_the_rules_against_dangerous_calls_are_on_with_few_exceptions():
    """Each exception in pyproject.toml or in the source, with its reason beside it."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    of_one_file = {
        path: {rule for rule in rules if re.fullmatch("S[0-9]*", rule)}
        for path, rules in lint["per-file-ignores"].items()
    }
    waived = {m for path in SOURCES for m in re.findall(r"noqa:.*\b(S[0-9]{3})", path.read_text())}
    assert "S" in lint["select"]
    assert {rule for rule in lint["ignore"] if re.fullmatch("S[0-9]*", rule)} == {"S101"}
    assert of_one_file.pop("src/dollymix/engine/local.py") == {"S301", "S603"}
    assert not [path for path, rules in of_one_file.items() if rules and path.startswith("src")]
    assert waived == {"S701"}


def test_what_a_pickle_would_do_is_only_text(tmp_path):
    """The bytes of a pickle as a value, a key and a file name stay what they are."""
    pickled = "cos\nsystem\n(S'touch pwned_by_pickle'\ntR."
    rows = [{"instruction": pickled, "output": pickled, pickled: 1}]
    path = write_lines(tmp_path / "a.pkl.jsonl", rows)
    merge([path], tmp_path / "out", workers=2)
    assert read_lines(tmp_path / "out")[0]["response"] == pickled
    assert not list(tmp_path.glob("pwned*"))
    assert not Path("pwned_by_pickle").exists()
