"""S3: a recipe is data. What YAML can do beyond plain values is refused, with a code and a line."""

from __future__ import annotations

import time

import pytest

import dollymix
from dollymix import recipe
from dollymix.recipe.document import DEPTH
from tests.helpers import merge, write_lines
from tests.test_recipe import SOURCE, faults

# Where our recipe has no such key, that is said beside the stated code or in its place.
OURS = {"cfg.depth": "config.depth", "cfg.regex_bomb": "config.unknown_key"}
CASES = [
    "billion_laughs", "python_object", "python_name", "duplicate_key", "unknown_key", "norway",
    "tabs", "depth", "binary", "empty", "list_top", "secret_inline", "regex_bomb",
]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_generated_recipe_is_refused_with_its_code(generated, name):
    case = generated[f"cfg.{name}"]
    began = time.process_time()
    with pytest.raises(dollymix.RecipeError) as refused:
        recipe.load(case.path)
    assert time.process_time() - began < case.expected["seconds"]
    code = OURS.get(case.id, case.expected["file_error"])
    assert f"[{code}]" in str(refused.value)
    assert all(line.isprintable() for line in refused.value.problems)
    assert "AAAAAAAA" not in str(refused.value)


def test_the_list_of_generated_recipes_is_whole(generated):
    assert {name for name in generated if name.startswith("cfg.")} == {f"cfg.{n}" for n in CASES}


def codes(text):
    return {code for _, code, _ in faults(text)}


def test_an_unknown_key_comes_with_the_nearest_known_one():
    assert "`sources`" in faults("soruces: []\n")[0][2]


@pytest.mark.parametrize(
    "line",
    [
        "seed: !!int 3",
        "seed: !!int abc",
        "seed: !!str 3",
        "seed: ! 3",
        "seed: !!python/object/apply:os.system [true]",
        "seed: !!python/name:os.system",
        "!!python/name:os.system seed: 3",
        "!!str seed: 3",
        "steps: !!set {exact_duplicates}",
        "published: !!timestamp 2024-01-01",
        "published: !!binary aGk=",
        "published: !custom x",
        "splits: !!omap [train: 1]",
    ],
)
def test_every_tag_is_refused(line):
    assert codes(f"{SOURCE}{line}\n") == {"config.tag"}


@pytest.mark.parametrize(
    "text",
    [
        f"{SOURCE}steps: &a [exact_duplicates]\nsplits: *a\n",
        f"{SOURCE}splits: &a [*a]\n",
        "version: 1\nsources:\n  - &a {name: a, files: [a.json]}\n  - <<: *a\n    name: b\n",
    ],
)
def test_every_alias_is_refused(text):
    assert "config.alias_limit" in codes(text)


@pytest.mark.parametrize("word", ["no", "No", "NO", "yes", "on", "Off"])
@pytest.mark.parametrize("key", ["category", "licence", "name", "shuffle"])
def test_a_word_that_is_false_to_some_readers_is_neither_a_text_nor_false(word, key):
    source = SOURCE.replace("name: a", f"name: a, {key}: {word}")
    if key == "name":
        source = SOURCE.replace("name: a", f"name: {word}")
    if key == "shuffle":
        source = f"{SOURCE}shuffle: {word}\n"
    assert "config.type" in codes(source)
    quoted = source.replace(f"{key}: {word}", f'{key}: "{word}"')
    if key == "shuffle":
        assert codes(quoted) == {"config.type"}
    else:
        assert getattr(recipe.parse(quoted).sources[0], key) == word


@pytest.mark.parametrize(
    "line",
    [
        "published: 2024-13-45",
        "published: 0000-00-00",
        f"seed: {'9' * 5000}",
        "seed: =",
        "seed: 1e400",
        "? [seed]\n: 3",
        "? {seed: 1}\n: 3",
    ],
)
def test_a_value_that_cannot_be_is_the_recipes_fault(line):
    assert codes(f"{SOURCE}{line}\n") == {"config.type"}


@pytest.mark.parametrize("depth", [DEPTH + 1, 1000, 100_000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ("{a: ", "}")])
def test_nesting_has_a_limit(depth, open_, close):
    with pytest.raises(dollymix.RecipeError) as refused:
        recipe.parse(f"a: {open_ * depth}{close * depth}\n")
    (line,) = refused.value.problems
    assert line.endswith("[config.depth]")


def test_nesting_as_deep_as_allowed_is_read():
    inner = DEPTH - 1
    assert "config.depth" not in codes(f"a: {'[' * inner}{']' * inner}\n")


def test_nesting_by_indentation_has_the_same_limit():
    text = "".join(" " * level + "a:\n" for level in range(DEPTH + 1))
    assert codes_of_depth(text) == "config.depth"


def codes_of_depth(text):
    with pytest.raises(dollymix.RecipeError) as refused:
        recipe.parse(text)
    return refused.value.problems[0].rpartition("[")[2].rstrip("]")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('"\\e[31mx": 1', "\\x1b[31mx"),
        ('"a\\nb": 1', "a\\x0ab"),
        ('"\\u202e": 1', "\\u202e"),
        ('"\\U000e0041": 1', "\\U000e0041"),
    ],
)
def test_what_a_message_repeats_is_safe_to_print(line, shown):
    ((_, _, said),) = faults(f"{SOURCE}{line}\n")
    assert shown in said
    assert said.isprintable()


@pytest.mark.parametrize("value", ['"\\ud800"', '"a\\0b"'])
@pytest.mark.parametrize("key", ["category", "licence", "files"])
def test_what_no_file_can_hold_is_refused(key, value):
    line = f"{key}: {value}" if key != "files" else f"files: [{value}]"
    old = "files: [a.json]" if key == "files" else "name: a"
    new = line if key == "files" else f"name: a, {line}"
    assert codes(SOURCE.replace(old, new)) == {"config.value"}


def test_a_recipe_for_a_file_whose_name_is_no_text_can_be_written_and_read(tmp_path):
    """`init` writes the bytes that are no characters as escapes, and a recipe reads them."""
    import os

    name = os.fsdecode(b"\xb0\xa1 \"'\x1b\\.jsonl")
    write_lines(tmp_path / name, [{"instruction": "q", "output": "a"}])
    draft = dollymix.init([tmp_path / name], base=tmp_path)
    assert all(line.isprintable() for line in draft.text.splitlines())
    (source,) = recipe.parse(draft.text).sources
    assert source.files == [name]
    (tmp_path / "r.yaml").write_text(draft.text)
    assert merge(tmp_path / "r.yaml", tmp_path / "out").ledger.total().written == 1


@pytest.mark.parametrize("name", ["no", "true", "null", "yes", "1", "on.jsonl", "a b", "x: y"])
def test_a_drafted_recipe_names_any_file(tmp_path, name):
    write_lines(tmp_path / name, [{"instruction": "q", "output": "a"}])
    draft = dollymix.init([tmp_path / name], base=tmp_path)
    (source,) = recipe.parse(draft.text).sources
    assert source.files == [name]


@pytest.mark.parametrize(
    "name", [".", "..", ".x", "x.", "a..b", "https://x.y/z", "os.path.no", "no.no", "json"]
)
@pytest.mark.parametrize("where", ["format", "steps"])
def test_a_dotted_name_that_is_no_module_of_ours_is_the_recipes_fault(name, where):
    text = SOURCE.replace("name: a", f'name: a, format: "{name}"')
    if where == "steps":
        text = f'{SOURCE}steps: ["{name}"]\n'
    assert codes(text) <= {"config.import", "config.unknown_name"}
