"""What holds for every step there is."""

import msgspec
import pytest

from dollymix import steps
from dollymix.errors import UsageError
from dollymix.example import Example
from dollymix.ledger import Verdict
from tests.helpers import ORIGIN

NAMES = steps.names()
each_step = pytest.mark.parametrize("name", NAMES)
SAMPLES = [
    Example(instruction="질문", context="글", response="답", category="open_qa", origin=ORIGIN),
    Example(instruction="질문", response="답", origin=ORIGIN, system="s", flags=("a.b",)),
    Example(instruction=" ", context="\u200b", response="", origin=ORIGIN),
    Example(instruction="x" * 100_000, response="\x00👩‍🚀\ud7ff", origin=ORIGIN),
]


@each_step
def test_it_has_a_docstring_and_one_frozen_step_with_defaults(name):
    module = steps.load(name)
    first, second, *_ = module.__doc__.splitlines()
    assert first.endswith((".", ","))
    assert second == ""
    assert issubclass(module.Step, msgspec.Struct)
    assert module.Step.__struct_config__.frozen
    assert module.Step.__struct_config__.forbid_unknown_fields
    assert module.Step.__doc__
    options = module.Step.__struct_encode_fields__
    assert all(f"`{option}`" in module.Step.__doc__ for option in options)
    assert module.Step() == msgspec.convert({}, module.Step)


@each_step
def test_it_is_a_row_step_a_check_or_a_group_step(name):
    made = steps.load(name).Step()
    is_group = hasattr(made, "decide") and hasattr(made, "key")
    is_check = hasattr(made, "measure") and hasattr(made, "judge")
    assert is_group + is_check + callable(made) == 1
    assert (steps.is_group(name), steps.is_check(name)) == (is_group, is_check)


@each_step
def test_the_versions_it_depends_on_are_texts(name):
    found = steps.versions_of([steps.load(name).Step()])
    assert all(isinstance(part, str) and part for item in found.items() for part in item)


@each_step
def test_a_check_counts_every_example_and_judges_any_sums(name):
    made = steps.load(name).Step()
    if not steps.is_check(name):
        return
    for sample in SAMPLES:
        counts = made.measure(sample)
        assert len(counts) == len(made.measures) == len(set(made.measures))
        assert all(count >= 0 for count in counts)
    for total in (0, 1, 1_000_000):
        for code, message, _ in made.judge(dict.fromkeys(made.measures, total)):
            assert f"`{code}`" in steps.load(name).__doc__
            assert message


@each_step
def test_a_row_step_answers_with_an_example_or_a_verdict(name):
    made = steps.load(name).Step()
    if not callable(made):
        return
    for sample in SAMPLES:
        answer = made(sample)
        assert isinstance(answer, Example | Verdict)
        assert answer == made(sample)
        assert answer.origin == sample.origin
        if isinstance(answer, Verdict):
            assert (answer.step, answer.example) == (name, sample)
            assert f"`{answer.reason}`" in steps.load(name).__doc__


@each_step
def test_a_group_step_gives_keys_of_one_length_and_keeps_the_first(name):
    made = steps.load(name).Step()
    if not steps.is_group(name):
        return
    assert {len(made.key(sample)) for sample in SAMPLES} == {16}
    assert made.key(SAMPLES[0]) == made.key(SAMPLES[0])
    decisions = list(made.decide([3, 5, 8]))
    assert all(d.member in (5, 8) and d.because_of in (3, 5) for d in decisions)
    assert all(f"`{d.reason}`" in steps.load(name).__doc__ for d in decisions)


@each_step
def test_an_unknown_option_is_refused(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_option": 1}, steps.load(name).Step)


def test_names_are_sorted():
    assert sorted(NAMES) == NAMES
    assert {"exact_duplicates", "required_text"} <= set(NAMES)


@pytest.mark.parametrize("name", ["", "nothing", "Exact_Duplicates"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(UsageError):
        steps.load(name)
