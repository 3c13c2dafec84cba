"""S10: passwords and tokens reach no output, no log, no message; data that looks so stays data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import dollymix
from dollymix import recipe
from dollymix.secret import HIDDEN, holds_secret, without_secrets
from tests.helpers import merge, read_dropped, read_lines, read_rejects, write_json, write_lines
from tests.security.conftest import surroundings

# Made up; each as it would be in the environment of a run.
ENVIRONMENT = {
    "HF_TOKEN": "hf_" + "TESTtest0123456789TESTtest01234567",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "STORE_PASSWORD": "correct horse battery staple",
}
GIVEN = {
    "token": ENVIRONMENT["HF_TOKEN"],
    "url": "https://user:s3cretpassw0rd@example.org/a.jsonl",
    "bucket": f"s3://AKIAABCDEFGHIJKLMNOP:{ENVIRONMENT['AWS_SECRET_ACCESS_KEY']}@bucket/a.jsonl",
    "signed": "https://example.org/a.jsonl?X-Amz-Signature=0123456789abcdef0123456789abcdef",
    "password": f"in/{ENVIRONMENT['STORE_PASSWORD']}/a.jsonl",
}
# What must be found nowhere.
SECRETS = [
    *ENVIRONMENT.values(),
    "s3cretpassw0rd",
    "AKIAABCDEFGHIJKLMNOP",
    "0123456789abcdef0123456789abcdef",
    "TESTtest0123456789",
]
ROWS = [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(5)]
SOURCE = "version: 1\nsources:\n  - {name: a, files: [a.jsonl]}\n"
STEP = """
import msgspec, os
class Step(msgspec.Struct, frozen=True):
    '''Fails, telling what it should not.'''
    def __call__(self, example):
        raise RuntimeError("cannot log in with " + os.environ["HF_TOKEN"])
"""


def recipes(secret):
    """Recipes that hold a secret where one can be put."""
    quoted = json.dumps(secret)
    yield SOURCE.replace("[a.jsonl]", f"[{quoted}]")
    yield SOURCE.replace("name: a", f"name: {quoted}")
    for key in ("format", "category", "licence", "revision", "sha256", "encoding", "framing"):
        yield SOURCE.replace("name: a", f"name: a, {key}: {quoted}")
    yield SOURCE.replace("name: a", f"name: a, format: sharegpt, options: {{turns: {quoted}}}")
    yield SOURCE.replace("name: a", f"name: a, options: {{roles: {{instruction: [{quoted}]}}}}")
    yield SOURCE.replace("name: a", f"name: a, options: {{{quoted}: 1}}")
    yield f"{SOURCE}steps: [{quoted}]\n"
    yield f"{SOURCE}steps: [{{required_text: {{fields: [{quoted}]}}}}]\n"
    yield f"{SOURCE}published: {quoted}\n"
    yield f"{SOURCE}on_bad_file: {quoted}\n"
    yield f"{SOURCE}splits: {{{quoted}: 1}}\n"
    yield f"{SOURCE}{quoted}: 1\n"
    yield f"{SOURCE}outputs: [{{view: {quoted}}}]\n"
    yield f"{SOURCE}seed: {secret}\n"
    yield f"{SOURCE}seed: [ {secret}\n"


@pytest.mark.parametrize("secret", GIVEN.values(), ids=GIVEN)
def test_a_recipe_that_holds_a_secret_is_refused_and_does_not_repeat_it(monkeypatch, secret):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for text in recipes(secret):
        with pytest.raises(dollymix.RecipeError) as refused:
            recipe.parse(text)
        said = str(refused.value)
        assert "[config.secret]" in said or "[config.syntax]" in said
        assert not [one for one in SECRETS if one in said]


def calls(secret, recipe_path):
    """Commands that are given a secret at every place."""
    merged = ["merge", "-o", "out", "--quiet", "--workers", "1"]
    return [
        [*merged, secret],
        [*merged, "a.jsonl", secret],
        [*merged, f"{secret}.yaml"],
        [*merged, recipe_path, "--set", f"seed={secret}"],
        [*merged, recipe_path, "--set", f"{secret}=3"],
        [*merged, recipe_path, "--set", secret],
        [*merged, recipe_path, "--set", f"seed=3 # {secret}"],
        [*merged, recipe_path, "--set", f"sources.a.files=[{json.dumps(secret)}]"],
        [*merged, recipe_path, "--set", f"sources.{secret}.licence=x"],
        [*merged, "a.jsonl", "--engine", secret],
        [*merged, f"--{secret}"],
        [secret],
        ["merge", "--dry-run", "-o", "out", secret],
        ["merge", "a.jsonl", "-o", f"a.jsonl/{secret}"],
        ["inspect", secret],
        ["inspect", "a.jsonl", "--format", secret],
        ["init", secret],
        ["init", "a.jsonl", "-o", f"none/{secret}.yaml"],
        ["explain", secret, "a/a.jsonl#0"],
        ["explain", "built", secret],
        ["explain", "built", f"a/{secret}#0"],
        ["verify", secret],
        ["diff", "built", secret],
        ["formats", secret],
        ["steps", secret],
    ]


def stages(place):
    """Builds that end at every stage, the secrets in the environment alone."""
    write_json(place / "broken.json", ROWS)
    broken = (place / "broken.json").read_bytes()[:-20]
    (place / "broken.json").write_bytes(broken)
    write_lines(place / "blank.jsonl", [{"instruction": "q", "output": ""}])
    (place / "leaky.py").write_text(STEP)
    (place / "leaky.yaml").write_text(
        f"{SOURCE}steps: [my.leaky]\n".replace("my.leaky", "team.leaky")
    )
    (place / "team").mkdir()
    (place / "leaky.py").rename(place / "team" / "leaky.py")
    (place / "full" / "mine").mkdir(parents=True)
    run = ["--quiet", "--workers", "1"]
    return [
        ["merge", "a.jsonl", "-o", "done", *run],
        ["merge", "r.yaml", "-o", "done", *run, "--format", "jsonl", "--format", "parquet"],
        ["merge", "a.jsonl", "-o", "done", "--quiet", "--workers", "2"],
        ["merge", "none.jsonl", "-o", "out", *run],
        ["merge", "broken.json", "-o", "out", *run],
        ["merge", "a.jsonl", "broken.json", "-o", "skipped", *run, "--on-bad-file", "skip"],
        ["merge", "blank.jsonl", "-o", "out", *run],
        ["merge", "blank.jsonl", "a.jsonl", "-o", "out", *run, "--max-rejected", "0"],
        ["merge", "a.jsonl", "-o", "full", *run],
        ["merge", "leaky.yaml", "-o", "failed", *run],
        ["merge", "leaky.yaml", "-o", "failed", "--quiet", "--workers", "2"],
    ]


def everything_in(place):
    """The bytes of every file below a place, those that are packed unpacked too."""
    for path in place.rglob("*"):
        if not path.is_file() or path.name in ("leaky.py", "plan.json", "results"):
            continue
        yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, str(pq.read_table(path).to_pylist()).encode()
        if path.name == "dropped.jsonl.zst":
            yield path, str(read_dropped(path.parent)).encode()


@pytest.fixture
def place(tmp_path):
    write_lines(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "r.yaml").write_text(SOURCE)
    merge([tmp_path / "a.jsonl"], tmp_path / "built")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def leaks(place, *said):
    sources = [(Path("standard error"), text) for text in said] + list(everything_in(place))
    return [(path, one) for path, text in sources for one in SECRETS if one.encode() in text]


def test_no_argument_that_is_a_secret_is_kept_or_repeated(place):
    from tests.security.conftest import driver, results

    plan = [call for secret in GIVEN.values() for call in calls(secret, "r.yaml")]
    done = subprocess.run(
        driver(place, plan),
        cwd=place,
        capture_output=True,
        check=True,
        env=surroundings(TMPDIR=str(place / "tmp"), **ENVIRONMENT),
    )
    found = results(place)
    assert {one["status"] for one in found} <= {0, 1, 2}
    assert len([one for one in found if one["status"]]) > 100
    assert leaks(place, done.stdout, done.stderr) == []
    assert HIDDEN.encode() in done.stderr


def test_builds_that_end_at_every_stage_leave_no_secret(place):
    statuses = []
    said = []
    for arguments in stages(place):
        path = os.pathsep.join([surroundings()["PYTHONPATH"], str(place)])
        environment = surroundings(TMPDIR=str(place / "tmp"), **ENVIRONMENT) | {"PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", "dollymix", *arguments],
            cwd=place,
            env=environment,
            capture_output=True,
        )
        statuses.append(done.returncode)
        said += [done.stdout, done.stderr]
    assert statuses == [0, 0, 0, 1, 1, 0, 1, 1, 2, 70, 70]
    assert list((place / "tmp").glob("dollymix-fault-*"))
    assert (place / ".failed.building").exists()
    assert leaks(place, *said) == []


def test_the_search_for_leaks_finds_one(place):
    (place / "built" / "note").write_text(ENVIRONMENT["HF_TOKEN"])
    assert leaks(place)


def test_data_that_holds_what_looks_like_a_secret_stays_data(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ENVIRONMENT["HF_TOKEN"])
    rows = [{"instruction": text, "output": text, text: text} for text in GIVEN.values()]
    rows += [{"instruction": ENVIRONMENT["HF_TOKEN"]}]
    write_lines(tmp_path / "in" / f"{ENVIRONMENT['HF_TOKEN']}.jsonl", rows)
    built = merge([tmp_path / "in"], tmp_path / "out")
    assert [line["response"] for line in read_lines(tmp_path / "out")] == list(GIVEN.values())
    (reject,) = read_rejects(tmp_path / "out")
    assert ENVIRONMENT["HF_TOKEN"] in reject["text"]
    assert built.ledger.total().warnings.keys() == {f"unread_key.{text}" for text in GIVEN.values()}


def test_a_recipe_made_in_python_is_checked_too(tmp_path):
    source = recipe.Source("a", [GIVEN["url"]])
    for asked in (recipe.Recipe(1, [source]), [GIVEN["url"]], [Path(GIVEN["url"])]):
        with pytest.raises(dollymix.UsageError) as refused:
            dollymix.merge(asked, tmp_path / "out")
        assert "[config.secret]" in str(refused.value)
        assert "s3cretpassw0rd" not in str(refused.value)


@pytest.mark.parametrize(
    "text", [*GIVEN.values(), "ghp_" + "a1" * 18, "sk-ant-" + "a1" * 20, "https://tok@h/x"]
)
def test_what_looks_like_a_secret_is_hidden(monkeypatch, text):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert holds_secret(text)
    hidden = without_secrets(f"x {text} y")
    assert HIDDEN in hidden
    assert not [one for one in SECRETS if one in hidden]
    assert without_secrets(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "a.jsonl",
        "hf_korean_instructions.jsonl",
        "hf://datasets/user/repo@main/data.jsonl",
        "https://example.org:8080/data@v2/a.jsonl",
        "https://huggingface.co/datasets/a/b?download=true",
        "abfs://container@account.dfs.core.windows.net/a",
        "s3://bucket/key@2.jsonl",
        "C:/data/me@home/a",
        "data/sk-korean-set-of-instructions-v2.jsonl",
        "task-abcdefghijklmnopqrstuvwxyz",
        "a@b.c",
        "2024-01-01T10:00:00@x",
        "~/data: mine/a@b",
    ],
)
def test_ordinary_names_are_no_secrets(text):
    assert not holds_secret(text)
