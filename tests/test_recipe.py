"""Recipes: what is read, and every fault at once, each with its line."""

from pathlib import Path

import pytest

import dollymix
from dollymix import recipe
from tests.helpers import merge, read_ledger, read_lines, write_lines, write_text

GOOD = """\
version: 1
sources:
  - name: kovicuna
    format: sharegpt
    files: [ko_dataset.json, ko_dataset_2.json]
    options: {turns: whole}
    category: open_qa
    licence: cc-by-2.0
    steps: [exact_duplicates]
  - name: alpaca
    files: [alpaca.json]
steps: [required_text, {exact_duplicates: {fold: true}}]
splits: {train: 0.98, validation: 0.02}
outputs: [{view: dolly, format: jsonl}, {view: dolly, format: parquet}]
seed: 7
published: 2024-01-31
"""

SOURCE = "version: 1\nsources:\n  - {name: a, files: [a.json]}\n"


def faults(text, **overrides):
    """The faults of a recipe, each as (line, reason code, the whole line)."""
    with pytest.raises(dollymix.RecipeError) as refused:
        recipe.parse(text, "r.yaml", overrides or None)
    found = []
    for problem in refused.value.problems:
        assert len(problem.splitlines()) == 1
        place, _, rest = problem.partition(" ")
        found.append((place, rest.rpartition("[")[2].rstrip("]"), rest))
    return found


def codes(text, **overrides):
    return [(place, code) for place, code, _ in faults(text, **overrides)]


# --- what is read ----------------------------------------------------------------------------


def test_a_whole_recipe_is_read():
    read = recipe.parse(GOOD)
    first, second = read.sources
    assert (first.name, first.format, first.files) == (
        "kovicuna",
        "sharegpt",
        ["ko_dataset.json", "ko_dataset_2.json"],
    )
    assert (first.options, first.category, first.licence) == (
        {"turns": "whole"},
        "open_qa",
        "cc-by-2.0",
    )
    assert [step.name for step in first.steps] == ["exact_duplicates"]
    assert (second.format, second.options) == (None, {})
    assert [(step.name, step.options) for step in read.steps] == [
        ("required_text", {}),
        ("exact_duplicates", {"fold": True}),
    ]
    assert read.splits == {"train": 0.98, "validation": 0.02}
    assert [(out.view, out.format) for out in read.outputs] == [
        ("dolly", "jsonl"),
        ("dolly", "parquet"),
    ]
    assert (read.seed, read.published) == (7, "2024-01-31")


def test_what_a_recipe_leaves_out_has_a_default():
    read = recipe.parse(SOURCE)
    assert [(out.view, out.format) for out in read.outputs] == [("dolly", "jsonl")]
    assert (read.steps, read.splits, read.shuffle, read.on_bad_file) == ([], {}, False, "stop")


def test_the_order_of_keys_and_the_layout_change_nothing():
    turned = "sources:\n- files:\n  - a.json\n  name: a\nversion: 1\n"
    assert recipe.parse(turned).encode() == recipe.parse(SOURCE).encode()


def test_words_that_look_like_other_values_stay_words():
    read = recipe.parse(SOURCE.replace("[a.json]", '["00123", "no", "2024-01-31"]'))
    assert read.sources[0].files == ["00123", "no", "2024-01-31"]


# --- faults ----------------------------------------------------------------------------------


def test_unknown_keys_are_refused_with_their_line_and_the_nearest_name():
    text = "version: 1\nsorces: []\nsources:\n  - name: a\n    files: [a.json]\n    formt: alpaca\n"
    (_, _, top), (_, _, inner) = faults(text)
    assert codes(text) == [("r.yaml:2:", "config.unknown_key"), ("r.yaml:6:", "config.unknown_key")]
    assert "`sources`" in top
    assert "`sources[0].formt`" in inner
    assert "`format`" in inner


def test_all_faults_come_at_once_each_with_its_line():
    text = """\
version: 2
sources:
  - name: a
    files: a.json
    format: alpacca
  - name: a
    files: [b.json]
    framing: xml
    nonsense: 1
steps: [exact_duplicate]
splits: {train: 0.5}
max_rejected: 2
seed: high
"""
    found = codes(text)
    assert [place for place, _ in found] == [
        f"r.yaml:{line}:" for line in (1, 4, 5, 6, 8, 9, 10, 11, 12, 13)
    ]
    assert dict(found) == {
        "r.yaml:1:": "config.type",
        "r.yaml:4:": "config.type",
        "r.yaml:5:": "config.unknown_name",
        "r.yaml:6:": "config.value",
        "r.yaml:8:": "config.type",
        "r.yaml:9:": "config.unknown_key",
        "r.yaml:10:": "config.unknown_name",
        "r.yaml:11:": "config.value",
        "r.yaml:12:": "config.value",
        "r.yaml:13:": "config.type",
    }


@pytest.mark.parametrize(
    ("text", "near"),
    [
        (SOURCE.replace("name: a", "name: a, format: sharegtp"), "`sharegpt`"),
        (SOURCE + "steps: [exact_duplicats]\n", "`exact_duplicates`"),
        (SOURCE + "steps: [{required_text: {feilds: [context]}}]\n", "`fields`"),
        (SOURCE + "outputs: [{view: doly}]\n", "`dolly`"),
        (SOURCE + "outputs: [{veiw: dolly}]\n", "`view`"),
        (SOURCE.replace("name: a", "name: a, options: {turn: each}"), "`turns`"),
        (SOURCE.replace("name: a", "name: a, format: squad, options: {answer: all}"), "`answers`"),
    ],
)
def test_the_nearest_known_name_is_given(text, near):
    ((_, code, said),) = faults(text)
    assert code in ("config.unknown_name", "config.unknown_key")
    assert near in said


@pytest.mark.parametrize("missing", ["version", "sources", "name", "files"])
def test_what_is_required_is_named(missing):
    kept = {"version": "version: 1\n", "sources": "sources:\n  - {name: a, files: [a.json]}\n"}
    text = "".join(value for key, value in kept.items() if key != missing)
    text = text.replace(f"{missing}: a, ", "").replace(f", {missing}: [a.json]", "")
    ((_, code, said),) = faults(text)
    assert code == "config.missing_key"
    assert f"`{missing}`" in said


@pytest.mark.parametrize(
    "line",
    [
        "version: '1'",
        "sources: a.json",
        "sources: [a.json]",
        "sources: {a: b}",
        "sources:",
        "steps: exact_duplicates",
        "steps: [7]",
        "splits: [train]",
        "splits: {train: most}",
        "outputs: {view: dolly}",
        "outputs: [{format: csv}]",
        "shuffle: 1",
        "seed: 1.5",
        "on_bad_file: go",
        "max_rejected: few",
        "published: 7",
    ],
)
def test_a_value_of_the_wrong_type_is_refused(line):
    key = line.partition(":")[0]
    kept = [
        part for part in ("version: 1", "sources: [{name: a, files: [a]}]") if key not in part[:8]
    ]
    found = codes("\n".join([*kept, line]) + "\n")
    assert (f"r.yaml:{len(kept) + 1}:", "config.type") in found


@pytest.mark.parametrize(
    "options",
    [
        "format: sharegpt, options: {turns: some}",
        "format: sharegpt, options: {roles: {question: [gpt]}}",
        "format: sharegpt, options: {roles: {instruction: gpt}}",
        "format: squad, options: {answers: 7}",
        "format: alpaca, options: {turns: each}",
    ],
)
def test_an_option_of_a_named_format_is_checked(options):
    ((place, code, _),) = faults(SOURCE.replace("name: a", f"name: a, {options}"))
    assert place == "r.yaml:3:"
    assert code in ("config.type", "config.unknown_key")


def test_a_wrong_value_for_a_format_that_is_detected_is_the_recipes_fault(tmp_path):
    conversation = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    write_lines(tmp_path / "a.json", [{"conversations": conversation}])
    text = SOURCE.replace("name: a", "name: a, options: {turns: some}")
    with pytest.raises(dollymix.UsageError):
        merge(text, tmp_path / "out")


def test_a_row_step_behind_a_group_step_is_refused_naming_both_lines():
    ((place, code, said),) = faults(SOURCE + "steps:\n  - exact_duplicates\n  - required_text\n")
    assert (place, code) == ("r.yaml:6:", "config.order")
    assert "`required_text`" in said
    assert "`exact_duplicates`" in said
    assert "line 5" in said


def test_the_order_of_steps_is_checked_in_a_source_too():
    text = SOURCE.replace("name: a", "name: a, steps: [exact_duplicates, required_text]")
    assert codes(text) == [("r.yaml:3:", "config.order")]


@pytest.mark.parametrize(
    "splits",
    [
        "{train: 0.9}",
        "{train: 0.9, validation: 0.2}",
        "{train: 1, validation: 0}",
        "{train: 1.5, validation: -0.5}",
        "{train: .nan}",
        "{train: .inf}",
        '{train: 0.5, "../x": 0.5}',
        '{train: 0.5, "..": 0.5}',
        '{train: 0.5, ".": 0.5}',
        '{train: 0.5, "": 0.5}',
    ],
)
def test_splits_that_are_no_shares_or_no_folders_are_refused(splits):
    found = codes(SOURCE + f"splits: {splits}\n")
    assert found
    assert set(found) == {("r.yaml:4:", "config.value")}


def test_shares_may_add_up_to_one_as_well_as_floats_can():
    splits = recipe.parse(SOURCE + "splits: {a: 0.1, b: 0.2, c: 0.7}\n").splits
    assert list(splits) == ["a", "b", "c"]


def test_two_sources_may_not_have_one_name():
    text = SOURCE + "  - {name: b, files: [b.json]}\n  - {name: a, files: [c.json]}\n"
    assert codes(text) == [("r.yaml:5:", "config.value")]


@pytest.mark.parametrize("name", ["a/b", "a b", "a#1", "a!", ""])
def test_a_name_that_could_not_stand_in_an_id_is_refused(name):
    ((place, _, _),) = faults(SOURCE.replace("name: a", f'name: "{name}"'))
    assert place == "r.yaml:3:"


@pytest.mark.parametrize(
    ("text", "place"),
    [(SOURCE.replace("[a.json]", "[]"), "r.yaml:3:"), ("version: 1\nsources: []\n", "r.yaml:2:")],
)
def test_an_empty_list_of_sources_or_files_is_refused(text, place):
    assert codes(text) == [(place, "config.empty")]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n"])
def test_an_empty_recipe_is_refused(text):
    with pytest.raises(dollymix.RecipeError):
        recipe.parse(text)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a.json\n", "7\n"])
def test_a_recipe_that_is_no_mapping_is_refused(text):
    assert codes(text) == [("r.yaml:1:", "config.type")]


@pytest.mark.parametrize(
    "text", ["version: [1\n", "a: b: c\n", "version: 1\n\tsources: []\n", "a: 'b\n", "{a: }}"]
)
def test_what_is_no_yaml_is_refused(text):
    with pytest.raises(dollymix.RecipeError) as refused:
        recipe.parse(text)
    assert "config.syntax" in str(refused.value)
    assert len(refused.value.problems) == 1


def test_nesting_without_end_is_refused():
    with pytest.raises(dollymix.RecipeError):
        recipe.parse("a: " + "[" * 1000 + "]" * 1000)


def test_aliases_tags_and_repeated_keys_are_refused_each_with_its_line():
    text = """\
version: 1
sources: &all
  - {name: a, files: [a.json]}
more: *all
seed: !!python/object/apply:os.getpid []
steps: !mine []
version: 1
"""
    assert codes(text)[:4] == [
        ("r.yaml:4:", "config.alias_limit"),
        ("r.yaml:5:", "config.tag"),
        ("r.yaml:6:", "config.tag"),
        ("r.yaml:7:", "config.duplicate_key"),
    ]


def test_a_repeated_key_inside_is_refused():
    text = "version: 1\nsources:\n  - name: a\n    files: [a.json]\n    name: b\n"
    assert codes(text) == [("r.yaml:5:", "config.duplicate_key")]


@pytest.mark.parametrize(
    "secret",
    [
        "https://me:word@example.org/a.json",
        "https://example.org/a.json?token=hf_abcdefghijklmnopqrstuvwxyz",
        "sk-abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_secrets_are_refused_and_not_repeated(secret):
    ((place, code, said),) = faults(SOURCE.replace("[a.json]", f'["{secret}"]'))
    assert (place, code) == ("r.yaml:3:", "config.secret")
    assert secret not in said


@pytest.mark.parametrize(
    "text", ["format: no_such_package.module", "steps: [no_such_package.step]"]
)
def test_a_module_of_the_users_that_is_not_there_is_the_recipes_fault(tmp_path, text):
    write_lines(tmp_path / "a.json", [{"instruction": "i", "output": "o"}])
    source = SOURCE.replace("name: a", f"name: a, {text}")
    with pytest.raises(dollymix.UsageError):
        merge(source, tmp_path / "out")


def test_a_recipe_that_is_not_there_is_a_fault_of_the_call(tmp_path):
    with pytest.raises(dollymix.UsageError):
        recipe.load(tmp_path / "none.yaml")


def test_a_recipe_that_is_no_text_is_a_fault_of_the_call(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"version: \xff\n")
    with pytest.raises(dollymix.UsageError):
        recipe.load(tmp_path / "r.yaml")


# --- overrides -------------------------------------------------------------------------------


def test_overrides_name_keys_by_dots_and_sources_by_name():
    overrides = {
        "seed": "3",
        "sources.kovicuna.category": "auto",
        "sources.1.licence": "cc0-1.0",
        "sources.kovicuna.options.turns": "each",
        "splits": "{train: 1}",
        "steps": "[required_text]",
    }
    read = recipe.parse(GOOD, overrides=overrides)
    first, second = read.sources
    assert (read.seed, read.splits) == (3, {"train": 1})
    assert (first.category, second.licence, first.options) == ("auto", "cc0-1.0", {"turns": "each"})
    assert [step.name for step in read.steps] == ["required_text"]


def test_an_override_may_make_what_was_not_there():
    read = recipe.parse(SOURCE, overrides={"sources.a.options.turns": "whole"})
    assert read.sources[0].options == {"turns": "whole"}


@pytest.mark.parametrize(
    "overrides",
    [
        {"sources.none.category": "x"},
        {"sources.9.category": "x"},
        {"sources.0": "x"},
        {"version.inner": "x"},
        {"sead": "3"},
        {"seed": "[1"},
        {"seed": "high"},
        {"seed": ""},
        {"sources.kovicuna.files": "['https://me:word@example.org/']"},
    ],
)
def test_an_override_that_cannot_be_is_refused(overrides):
    with pytest.raises(dollymix.UsageError):
        recipe.parse(GOOD, overrides=overrides)


def test_overrides_reach_a_build_and_leave_the_file_alone(tmp_path):
    write_lines(tmp_path / "a.json", [{"instruction": "i", "output": "o"}])
    path = write_text(tmp_path / "r.yaml", SOURCE)
    merge(path, tmp_path / "out", overrides={"sources.a.category": "closed_qa"})
    assert [line["category"] for line in read_lines(tmp_path / "out")] == ["closed_qa"]
    assert path.read_text() == SOURCE


# --- bare paths ------------------------------------------------------------------------------


def names(*paths):
    return [source.name for source in recipe.from_paths([Path(path) for path in paths]).sources]


def test_bare_paths_are_named_after_file_or_folder():
    assert names("x/ko_dataset.json", "folder", "b.jsonl.gz") == ["ko_dataset", "folder", "b"]


def test_equal_names_are_numbered_from_two():
    assert names("a/x.json", "b/x.jsonl", "c/x") == ["x", "x-2", "x-3"]


def test_a_numbered_name_never_meets_a_real_one():
    found = names("a/x.json", "b/x.json", "x-2.json")
    assert len(set(found)) == 3


def test_a_name_keeps_only_what_may_stand_in_an_id():
    (name,) = names("내 데이터 (1)#.json")
    assert recipe.parse(SOURCE.replace("name: a", f'name: "{name}"')).sources[0].name == name


def test_each_bare_path_is_a_source_in_the_order_given(tmp_path):
    for name in ("b", "a"):
        write_lines(tmp_path / f"{name}.json", [{"instruction": name, "output": "o"}])
    merge([tmp_path / "b.json", tmp_path / "a.json"], tmp_path / "out")
    assert [line["instruction"] for line in read_lines(tmp_path / "out")] == ["b", "a"]
    assert list(read_ledger(tmp_path / "out")["sources"]) == ["b", "a"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("normalize: {form: nfkc}", "invalid enum value 'nfkc'. There are: none, nfc."),
        ("personal_data: {kinds: [ssn]}", "'ssn'. There are: resident, foreigner, business, phone"),
        ("length: {response: {maximum: 5}}", "unknown field `maximum`. Known are: min, max."),
        ("roles: {a: 1}", "is not known. It has no options."),
    ],
)
def test_a_wrong_option_is_told_with_what_may_stand_there(tmp_path, step, expected):
    text = f"version: 1\nsources: [{{name: s, files: [a.json]}}]\nsteps:\n  - {step}\n"
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(dollymix.RecipeError) as caught:
        dollymix.merge(tmp_path / "r.yaml", tmp_path / "out")
    assert expected in str(caught.value)
    assert "r.yaml:4:" in str(caught.value)
