"""What holds for every source format there is."""

import itertools
import json
import re

import msgspec
import pytest

from dollymix import formats
from dollymix.errors import UsageError
from tests.helpers import ORIGIN, balances, parse, texts

NAMES = formats.names()
each_format = pytest.mark.parametrize("name", NAMES)
# Reasons that any record may give, whatever its format.
COMMON = ("schema.", "json.")


def sample(name):
    """The record that the format's docstring shows."""
    lines = [line.strip() for line in formats.load(name).__doc__.splitlines()]
    return json.loads(next(line for line in lines if line.startswith("{")))


def broken(value, kept=None):
    """Variants of a record: each key removed, or holding what it must not, at every depth."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for other in (None, 7, [], {}, "", " ", [7], {"a": 1}, "엉뚱한 말", True):
                yield {**value, key: other}
            for inner in broken(value[key]):
                yield {**value, key: inner}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for other in (None, 7, "x", [], {}):
                yield [*value[:index], other, *value[index + 1 :]]
            for inner in broken(item):
                yield [*value[:index], inner, *value[index + 1 :]]


def foreign(record):
    """The record with each key to which some format gives a meaning."""
    for key in formats.Foreign.__struct_fields__:
        for value in ("x", 7, ["x"], [["q", "a"]], {"a": 1}, None, "", [], {}):
            yield {**record, key: value}


def variants(name):
    return [sample(name), *broken(sample(name)), *foreign(sample(name)), [], "x", 7, None]


@each_format
def test_it_has_the_parts_of_the_contract(name):
    form = formats.load(name)
    assert form.__doc__
    assert form.SIGNATURE
    assert all(isinstance(keys, frozenset) and keys for keys in form.SIGNATURE)
    assert isinstance(form.RECORDS_AT, tuple)
    assert issubclass(form.Row, msgspec.Struct)
    assert callable(form.parse)
    assert callable(form.render)
    assert form.Options.__struct_config__.frozen
    assert form.Options.__struct_config__.forbid_unknown_fields
    assert form.Options() == msgspec.convert({}, form.Options)
    assert form.Options.__doc__


@each_format
def test_its_docstring_begins_with_one_line_and_shows_a_sample(name):
    first, second, *_ = formats.load(name).__doc__.splitlines()
    assert first.endswith(".")
    assert second == ""
    assert "Source:" in formats.load(name).__doc__
    parsed = parse(name, sample(name))
    assert parsed.examples
    assert parsed.verdicts == []
    assert parsed.parts == parsed.parts_used > 0


@each_format
def test_its_sample_is_recognised_as_its_own(name):
    assert formats.recognise(set(sample(name))) == name


@each_format
def test_every_key_of_its_sample_is_declared(name):
    declared = {field.encode_name for field in msgspec.structs.fields(formats.load(name).Row)}
    assert set(sample(name)) <= declared
    assert set(formats.Foreign.__struct_fields__) <= declared


@each_format
def test_parsing_twice_gives_equal_results(name):
    for record in variants(name):
        assert parse(name, record) == parse(name, record)


@each_format
def test_whatever_a_record_holds_its_parts_balance(name):
    for record in variants(name):
        parsed = parse(name, record)
        assert balances(parsed), record
        assert all(v.outcome == "rejected" and v.message for v in parsed.verdicts)
        assert parsed.examples or parsed.verdicts or parsed.parts == 0, record


@each_format
def test_its_examples_are_never_blank(name):
    for record in variants(name):
        for instruction, _, response in texts(parse(name, record)):
            assert instruction.strip(), record
            assert response.strip(), record


@each_format
def test_every_reason_it_gives_is_common_or_in_its_docstring(name):
    text = formats.load(name).__doc__
    reasons = {v.reason for record in variants(name) for v in parse(name, record).verdicts}
    flags = {f for record in variants(name) for e in parse(name, record).examples for f in e.flags}
    assert {r for r in reasons if not r.startswith(COMMON)} <= set(re.findall(r"[\w.]+", text))
    assert all(f"`{flag}`" in text for flag in flags)


@each_format
def test_all_that_it_makes_comes_from_the_record_it_was_given(name):
    for record in variants(name):
        parsed = parse(name, record)
        places = [e.origin for e in parsed.examples] + [v.origin for v in parsed.verdicts]
        assert {(p.source, p.file, p.record) for p in places} <= {
            (ORIGIN.source, ORIGIN.file, ORIGIN.record)
        }
        assert len({str(e.origin) for e in parsed.examples}) == len(parsed.examples)


@each_format
def test_what_it_writes_it_reads_back(name):
    form = formats.load(name)
    for example in parse(name, sample(name)).examples:
        written = msgspec.json.encode(form.render(example))
        again = parse(name, json.loads(written)).examples
        kept = (example.instruction, example.context, example.response)
        assert texts_of(again) == [kept]


def texts_of(made):
    return [(e.instruction, e.context, e.response) for e in made]


@each_format
def test_it_writes_what_other_formats_read(name):
    for other in NAMES:
        (example, *_) = parse(other, sample(other)).examples
        if name in ("squad", "korquad2") and example.response not in example.context:
            continue  # an answer out of a passage is what these two are about
        written = msgspec.json.encode(formats.load(name).render(example))
        parsed = parse(name, json.loads(written))
        assert [e.response for e in parsed.examples] == [example.response]


@each_format
def test_an_unknown_option_is_refused(name):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_option": 1}, formats.load(name).Options)


def test_signatures_do_not_clash():
    for one, other in itertools.combinations(NAMES, 2):
        assert not set(formats.load(one).SIGNATURE) & set(formats.load(other).SIGNATURE)


def test_names_are_sorted_and_those_of_the_design():
    assert sorted(NAMES) == NAMES
    assert {"alpaca", "dolly", "korquad2", "sharegpt", "squad"} <= set(NAMES)


@pytest.mark.parametrize("name", ["", "nothing", "Alpaca", "shareGPT"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(UsageError):
        formats.load(name)


def test_keys_of_no_format_are_not_recognised():
    assert formats.recognise(set()) is None
    assert formats.recognise({"prompt", "completion"}) is None
