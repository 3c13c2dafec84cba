"""S8: whatever data, names and arguments hold, a terminal gets plain lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import pytest

import dollymix
from tests.helpers import merge, read_rejects, write_json, write_lines
from tests.security.conftest import driver, on_terminal, results, surroundings

HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\nforged: line",
    "a\rover",
    "\x9b31m",
    "\x7f\x08\x08x",
    "\u202egnp",
    "\u2066x\u2069",
    "\u200bx",
    "\ufeffx",
    "\U000e0041\U000e0042",
    "\u00adx",
    "\u2028x",
    "\x85x",
    "\u115fx",
    "\udc9bx",
]
# What the progress bar draws with.
BAR = re.compile(r"\x1b\[(?:\?25[lh]|[0-9;]*m|2K|1A|[0-9]*D|J)|\r")


def assert_plain(sent):
    """Only characters that show themselves, and line ends."""
    text = sent.decode()  # nothing undecodable, either
    foreign = {
        char
        for char in text.replace("\r\n", "\n")
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\n"
    }
    assert not foreign, [line for line in text.splitlines() if foreign & set(line)][:5]


def drive_on_terminal(place, plan, **settings):
    # The bar draws with control characters of its own: it has its own test.
    plan = [[*one, *["--quiet"] * (one[0] == "merge")] for one in plan]
    environment = surroundings(TMPDIR=str(place))
    status, sent = on_terminal(driver(place, plan), env=environment, **settings)
    assert status == 0, sent[-2000:]
    assert_plain(sent)
    found = results(place)
    assert [one["arguments"] for one in found if one["status"] not in (0, 1, 2)] == []
    return found, sent.decode()


def test_no_generated_input_reaches_the_terminal(corpus):
    assert_plain(corpus.sent)
    assert [one["arguments"] for one in corpus.found if one["status"] not in (0, 1, 2)] == []


@pytest.fixture
def hostile_build(tmp_path):
    """A build of hostile names, keys and values, and the folder of its input."""
    folder = tmp_path / "in"
    for number, text in enumerate(HOSTILE):
        safe = text.encode("utf-8", "replace").decode()
        rows = [{"instruction": safe, "output": safe, safe: 1, f"{safe}2": safe}]
        rows += [{"instruction": safe}, {"instruction": safe, "output": {safe: safe}}]
        turns = [{"from": safe, "value": safe}, {"from": "gpt", "value": safe}]
        write_lines(folder / f"{number}{text}.jsonl", [*rows, *rows[:1]])
        write_lines(folder / f"chat-{number}.jsonl", [{"id": safe, "conversations": turns}])
        paragraph = {
            "context": safe,
            "qas": [{"question": safe, "answers": [{"text": f"{safe}!"}]}],
        }
        write_json(
            folder / f"qa-{number}.json", {"data": [{"title": safe, "paragraphs": [paragraph]}]}
        )
        (folder / f"bad{number}{text}.txt").write_text("no records")
    merge([folder], tmp_path / "built", on_bad_file="skip")
    return tmp_path / "built", folder


def test_no_name_key_or_value_reaches_the_terminal(hostile_build, tmp_path):
    built, folder = hostile_build
    rejects = read_rejects(built)
    assert len(rejects) > 2 * len(HOSTILE)
    ids = [reject["id"] for reject in rejects][::5]
    ids += [f"in/{name}#0" for name in ("0%1B[31mred.jsonl", "chat-0.jsonl")]
    plan = [["merge", folder, "-o", tmp_path / "o", "--on-bad-file", "skip"]]
    plan += [
        ["merge", folder, "-o", tmp_path / "o", "--workers", 1, *more] for more in (["--json"], [])
    ]
    plan += [
        ["inspect", folder],
        ["inspect", folder, "--json"],
        ["init", folder],
        ["verify", built],
    ]
    plan += [["explain", built, one] for one in ids] + [["explain", built, ids[0], "--json"]]
    plan += [["diff", built, tmp_path / "warm"], ["diff", tmp_path / "warm", built, "--json"]]
    for path in sorted(folder.glob("bad*")):
        plan.append(["merge", path, "-o", tmp_path / "none"])
    found, sent = drive_on_terminal(tmp_path, plan)
    assert "\\x1b[31mred" in sent
    assert {one["status"] for one in found} == {0, 1}


def test_json_for_machines_says_the_same_with_escapes(hostile_build):
    _, folder = hostile_build
    command = [sys.executable, "-m", "dollymix", "inspect", folder, "--json"]
    sent = subprocess.run(command, env=surroundings(), capture_output=True, check=True).stdout
    assert_plain(sent)
    shown = {
        example["response"]
        for item in json.loads(sent)
        for record in item["records"]
        for example in record["examples"]
    }
    assert {text for text in HOSTILE if "\udc9b" not in text} <= shown


def calls_with(text):
    return [
        [text],
        [f"--{text}"],
        ["merge", f"--{text}"],
        ["merge", "a.json", "-o", "out", "--workers", text],
        ["merge", "a.json", "-o", "out", "--engine", text],
        ["merge", text, "-o", "out"],
        ["merge", f"{text}.yaml", "-o", "out"],
        ["merge", f"{text}.yaml", "a.json", "-o", "out"],
        ["merge", "r.yaml", "-o", "out", "--set", text],
        ["merge", "r.yaml", "-o", "out", "--set", f"{text}=1"],
        ["merge", "r.yaml", "-o", "out", "--set", f"sources.{text}.category=x"],
        ["merge", "r.yaml", "-o", "out", "--set", f"sources.a.format={text}"],
        ["merge", "r.yaml", "-o", "out", "--set", f"sources.a.options.{text}=1"],
        ["merge", "a.json", "-o", "out", "--on-bad-file", text],
        ["merge", "a.json", "-o", f"f/{text}"],
        ["inspect", text],
        ["inspect", "a.json", "--format", text],
        ["inspect", "a.json", "-n", text],
        ["explain", text, "a/a.json#0"],
        ["explain", "built", text],
        ["explain", "built", f"a/a.json#0{text}"],
        ["verify", text],
        ["diff", text, "built"],
        ["formats", text],
        ["steps", text],
        ["init", "a.json", "-o", f"there{text}"],
    ]


@pytest.mark.parametrize("text", ["\x1b[31m\n\x9b\u202e\U000e0041x", "\udc9b\n\u2028\x85y"])
def test_no_argument_reaches_the_terminal(tmp_path, text):
    write_json(tmp_path / "a.json", [{"instruction": "q", "output": "a"}])
    recipe = "version: 1\nsources:\n  - {name: a, files: [a.json]}\n"
    (tmp_path / "r.yaml").write_text(recipe)
    (tmp_path / f"there{text}").write_text("")
    (tmp_path / "f").write_text("")
    merge([tmp_path / "a.json"], tmp_path / "built")
    plan = calls_with(text)
    found, sent = drive_on_terminal(tmp_path, plan, cwd=tmp_path)
    assert {one["status"] for one in found} == {1, 2}
    # One line each: what stands behind the lines of the merge that warms up.
    lines = sent.splitlines()
    assert len(lines[next(n for n, line in enumerate(lines) if "one record" in line) + 1 :]) == len(
        plan
    )


def test_a_foreign_build_that_was_tampered_with_reaches_no_terminal(hostile_build, tmp_path):
    """A build may come from somebody else, its manifest and ledger written by hand."""
    built, _ = hostile_build
    manifest = json.loads((built / "manifest.json").read_bytes())
    for text in HOSTILE[:-1]:
        manifest["outputs"].append({"file": text, "bytes": 1, "sha256": text})
        manifest["inputs"][0] |= {"source": text, "file": text}
    (built / "manifest.json").write_text(json.dumps(manifest))
    ledger = json.loads((built / "ledger.json").read_bytes())
    ledger["sources"] |= {
        text: ledger["sources"]["in"] | {"rejected": {text: 1}} for text in HOSTILE[:-1]
    }
    (built / "ledger.json").write_text(json.dumps(ledger))
    plan = [["verify", built], ["diff", built, tmp_path / "warm"], ["explain", built, "in/x#0"]]
    found, _ = drive_on_terminal(tmp_path, plan)
    assert [one["status"] for one in found] == [1, 0, 2]


def test_the_bar_draws_and_nothing_else_does(tmp_path):
    write_lines(tmp_path / "\x1b[31mred.jsonl", [{"instruction": "\x1b]0;x\x07", "output": "a"}])
    command = [
        sys.executable,
        "-m",
        "dollymix",
        "merge",
        tmp_path / "\x1b[31mred.jsonl",
        "-o",
        tmp_path / "o",
    ]
    status, sent = on_terminal(command, env=surroundings(TERM="xterm", NO_COLOR="1"))
    assert status == 0, sent
    assert b"\x1b[" in sent
    assert_plain(BAR.sub("", sent.decode()).encode())
    assert b"[31m" not in sent


def test_messages_of_the_python_functions_are_lines_too():
    for error in (
        dollymix.UsageError("a\nb"),
        dollymix.InputError("json.syntax", "a\x1b", "b\nc", 3),
        dollymix.RecipeError("a\nb", "c\u202e"),
    ):
        assert all(line.isprintable() for line in error.args)
        assert len(str(error).split("\n")) == len(error.args)
