"""Token counts, and what trainers would do with examples that are too long."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dollymix
from dollymix.example import Example, Message
from dollymix.steps.length_audit import Step
from tests.helpers import ORIGIN, merge, read_ledger, write_lines

tokenizers = pytest.importorskip("tokenizers")
RECIPE = (
    "version: 1\nsources: [{{name: s, files: [a.jsonl]}}]\n"
    "steps: [{{length_audit: {{tokenizer: {path}, limits: [4, 8]}}}}]\n"
)
ROWS = [
    {"instruction": "a b", "input": "", "output": "c"},
    {"instruction": "a b", "input": "c d", "output": "e f g"},
    {"instruction": "a b", "input": "c", "output": "d"},
    {"instruction": "a " * 9, "input": "", "output": "b"},
]


@pytest.fixture
def words(tmp_path):
    """A tokenizer that makes a token of each word."""
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    # A file may carry a model's own limits: they are not to hide what is counted here.
    made.enable_truncation(2)
    made.enable_padding(length=50)
    made.save(str(tmp_path / "words.json"))
    return tmp_path / "words.json"


def test_tokens_are_summed_by_field_and_trainers_told_of(tmp_path, words):
    write_lines(tmp_path / "a.jsonl", ROWS)
    built = merge(RECIPE.format(path="words.json"), tmp_path / "out")
    counts = read_ledger(tmp_path / "out")["sources"]["s"]
    # Examples, of which each stands in the widest finding, not findings.
    assert counts["warnings"] == {"length_audit.too_long": 2}
    assert counts["measures"] == {
        "length_audit/examples": 4,
        "length_audit/instruction_tokens": 15,
        "length_audit/context_tokens": 3,
        "length_audit/response_tokens": 6,
        "length_audit/system_tokens": 0,
        "length_audit/history_tokens": 0,
        "length_audit/over_4": 2,
        "length_audit/prompt_over_4": 2,
        "length_audit/over_8": 1,
        "length_audit/prompt_over_8": 1,
    }
    assert built.manifest.warnings == [
        "s: 2 of 4 examples are longer than 4 tokens: TRL would cut 0 and drop 2 (cut 2 with the "
        "loss on the prompt, too), Axolotl and "
        "ms-swift drop 2, LLaMA-Factory cut 2 [length_audit.too_long]",
        "s: 1 of 4 examples are longer than 8 tokens: TRL would cut 0 and drop 1 (cut 1 with the "
        "loss on the prompt, too), Axolotl and "
        "ms-swift drop 1, LLaMA-Factory cut 1 [length_audit.too_long]",
    ]


def test_the_card_has_the_whole_sentence(tmp_path, words):
    write_lines(tmp_path / "a.jsonl", ROWS)
    built = merge(RECIPE.format(path="words.json"), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for line in built.manifest.warnings:
        assert f"- `{line}`" in card


@pytest.mark.parametrize("limits", [(), (10, 10, 5)])
def test_limits_are_one_or_more_each_once(limits):
    with pytest.raises(ValueError, match="each once"):
        Step(limits=limits)


def test_the_manifest_names_the_tokenizer_and_no_path_of_the_machine(tmp_path, words):
    write_lines(tmp_path / "a.jsonl", ROWS)
    built = merge(RECIPE.format(path=words), tmp_path / "out").manifest
    assert built.versions["tokenizers"]
    assert list(built.tokenizers) == ["words.json"]
    assert len(built.tokenizers["words.json"]) == 64
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    assert dollymix.verify(tmp_path / "out").faults == []


def test_another_tokenizer_is_another_build(tmp_path, words):
    write_lines(tmp_path / "a.jsonl", ROWS)
    first = merge(RECIPE.format(path="words.json"), tmp_path / "out").manifest.tokenizers
    body = json.loads(words.read_text())
    body["model"]["vocab"]["a"] = 1
    words.write_text(json.dumps(body))
    assert merge(RECIPE.format(path="words.json"), tmp_path / "out").manifest.tokenizers != first


@pytest.mark.parametrize("text", [None, "", "{}", "[1]"])
def test_a_file_that_is_no_tokenizer_is_one_line_and_nothing_is_built(tmp_path, text):
    write_lines(tmp_path / "a.jsonl", ROWS)
    if text is not None:
        (tmp_path / "words.json").write_text(text)
    with pytest.raises(dollymix.UsageError) as caught:
        merge(RECIPE.format(path="words.json"), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith("length_audit: ")
    assert "words.json: is no tokenizer.json" in message
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_without_the_package_its_install_command_is_told(tmp_path, words, monkeypatch):
    import sys

    from dollymix import tokens

    tokens.load.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    write_lines(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(dollymix.UsageError, match=r'pip install "dollymix\[tokenizers\]"'):
        merge(RECIPE.format(path="words.json"), tmp_path / "out")


def test_the_template_and_the_history_count(words):
    step = Step(tokenizer=str(words), limits=(7,), template_tokens=2)
    turns = (Message("user", "a b"), Message("assistant", "c"))
    example = Example(instruction="d", response="e", system="f", history=turns, origin=ORIGIN)
    counts = dict(zip(step.measures, step.measure(example), strict=True))
    assert (counts["system_tokens"], counts["history_tokens"]) == (1, 3)
    # Six and the template's two.
    assert (counts["over_7"], counts["prompt_over_7"]) == (1, 1)


def test_what_the_response_alone_passes_is_cut(words):
    step = Step(tokenizer=str(words), limits=(4,))
    example = Example(instruction="a b", response="c d e", origin=ORIGIN)
    counts = dict(zip(step.measures, step.measure(example), strict=True))
    assert (counts["over_4"], counts["prompt_over_4"]) == (1, 0)
    ((_, message, over),) = step.judge(counts)
    assert over == 1
    assert "TRL would cut 1 and drop 0" in message


@given(st.text(min_size=1, max_size=40))
def test_without_a_tokenizer_bytes_are_counted(text):
    example = Example(instruction=text, response=text, origin=ORIGIN)
    step = Step(limits=(1,))
    found = step.measure(example)
    assert found[1:4] == (len(text.encode()), 0, len(text.encode()))
    ((_, message, _),) = step.judge(dict(zip(step.measures, found, strict=True)))
    assert "longer than 1 tokens (each byte counted as one): TRL" in message


@pytest.mark.parametrize(
    "recipe",
    [
        "version: 1\nsources: [{name: s, files: [a.jsonl], steps: [length_audit]}]\n"
        "steps: [length_audit]\n",
        "version: 1\nsources: [{name: s, files: [a.jsonl]}]\n"
        "steps: [length_audit, {length_audit: {limits: [9]}}]\n",
    ],
    ids=["source-and-top", "twice-in-a-list"],
)
def test_a_source_has_a_check_once(tmp_path, recipe):
    """The sums of two would be one."""
    write_lines(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(dollymix.UsageError, match="s: the check `length_audit` stands twice"):
        dollymix.merge(tmp_path / "recipe.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
