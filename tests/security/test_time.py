"""S13: nothing of ours takes more than its share of time on text made to be slow: 1 MB, 1 s.

What takes time with the square of its length takes hours for 1 MB, and more than a second for the
third of it that is tried without DOLLYMIX_SECURITY=full.
"""

from __future__ import annotations

import json
import time

import msgspec
import pytest

import dollymix
from dollymix import text
from dollymix.decoding import explain_failure
from dollymix.framing.inputs import encode_name
from dollymix.outputs import card
from dollymix.secret import without_secrets
from tests.helpers import merge, read_lines, write_lines, write_text
from tests.security.conftest import FULL

SIZE = 1_000_000 if FULL else 300_000
PIECES = [
    "a",
    " ",
    "(",
    "<",
    "가",
    ".",
    "a@",
    "1-",
    "\n",
    "a.",
    "[",
    "](",
    "&#",
    "\\",
    "`",
    "``",
    "\x1b",
    "\u200b",
    "\U000e0041",
    "\udc80",
    '"',
    "{",
    '{"a":',
    ",",
    ", ",
    "},",
    "} , ",
    '",',
    "\x00",
    "\\ud800",
    "NaN,",
    "{'",
    " - at `",
    "a\u0301\u0316",
    "\u0301\u0316",
    "\u0316\u0301",
    "\u0344",
    "\u1100\u1161\u11a8",
    "://",
    ":/a:",
    "https://a:",
    "?token=",
    "sk-",
    "hf_",
    "_",
    "-",
    "a_",
    "|",
    "%",
    '"data": [',
    '{"data":[',
    '"data"',
    "\r",
    "\x1e",
    "]}",
    '{"instruction":"',
    "\u0e01\u0e48",
    "ß",
    "İ",
]


def bait(piece, size=SIZE):
    return piece * (size // len(piece.encode("utf-8", "surrogatepass")))


def seconds(function, *arguments):
    began = time.process_time()
    try:
        function(*arguments)
    except dollymix.DollymixError:
        pass
    return time.process_time() - began


def near_to_a_long_name(value):
    text.nearest(value, ["alpaca", "sharegpt"])
    text.nearest("alpaca", [value, "alpac"])


def why_it_failed(value):
    raw = value.encode("utf-8", "surrogatepass")
    for data in (raw, b'{"instruction":"' + raw, b"[" + raw + b"]", b'{"a":"' + raw + b'"}'):
        explain_failure(data, msgspec.DecodeError("broken"))
        explain_failure(data, msgspec.ValidationError("Object missing required field `output`"))


def name_in_an_archive(value):
    encode_name(value[:65_535])


FUNCTIONS = [
    text.is_blank,
    text.normal_form,
    text.printable,
    text.quoted,
    text.as_json,
    without_secrets,
    near_to_a_long_name,
    why_it_failed,
    name_in_an_archive,
    card._inline,
    card._code,
    lambda value: text.languages([value]),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_no_function_of_text_is_slow(function):
    slow = {}
    for piece in PIECES:
        for value in (f"{bait(piece)}x", bait(piece), f"x{bait(piece)}!")[: 3 if FULL else 1]:
            took = seconds(function, value)
            if took > 1:
                slow[piece] = took
    assert slow == {}


def test_many_keys_are_not_compared_one_by_one():
    keys = json.dumps({f"outpu{number}": 1 for number in range(90_000)}).encode()
    error = msgspec.ValidationError("Object missing required field `output`")
    assert seconds(explain_failure, keys, error) < 1


def test_marks_without_end_keep_the_normal_form_of_what_is_around_them():
    marks = "\u0316\u0301" * 200
    form = text.normal_form(f"E\u0301 A {marks} e\u0301")
    assert form == f"é a {marks} é"
    assert text.normal_form("a" + "\u0301\u0316" * 30) == text.normal_form(
        "a" + "\u0316\u0301" * 30
    )


def files():
    """Files of one long bait: bare, in a record, in an array, in a document, behind a bad byte."""
    good = b'{"instruction":"q","output":"a"}\n'
    for piece in (
        "{",
        "[",
        '{"a":',
        ", ",
        "},",
        '",',
        "\\",
        '"data": [',
        '{"data":[',
        '"data":{',
        "\n",
        "NaN,",
        " ",
    ):
        raw = bait(piece).encode()
        yield piece, "bare", raw
        yield piece, "record", good + b'{"instruction":"' + raw + b'"}\n' + good
        yield piece, "array", b'[{"instruction":"q","output":"a"},' + raw + b"]"
        yield piece, "document", b'{"x":[' + raw + b"]}"
        yield piece, "bad", b"\xff" + raw
    yield "keys", "record", b"{" + b",".join(b'"k%d":1' % n for n in range(90_000)) + b"}\n"
    yield "data", "nested", b'{"x":[' + b",".join([b'{"data":[1]}'] * 70_000) + b"]}"


@pytest.mark.parametrize("kind", ["bare", "record", "array", "document", "bad", "nested"])
def test_no_file_takes_long_to_be_known_and_read(tmp_path, kind):
    slow = {}
    for number, (piece, shape, data) in enumerate(files()):
        if shape != kind:
            continue
        path = tmp_path / f"{number}.json"
        path.write_bytes(data)
        looked = seconds(dollymix.inspect, path)
        merged = seconds(merge, [path], tmp_path / f"out-{number}")
        if looked > 2 or merged > 4:
            slow[piece] = (looked, merged)
    assert slow == {}


def test_the_generated_baits_take_under_a_second_each(generated, tmp_path):
    source = f'{{name: a, files: ["{generated["content.regex_bait"].path}"]}}'
    steps = "[required_text, {exact_duplicates: {fold: true}}]"
    recipe = f"version: 1\nsources: [{source}]\nsteps: {steps}\n"
    path = write_text(tmp_path / "r.yaml", recipe)
    assert seconds(merge, path, tmp_path / "out") < 14
    assert len(read_lines(tmp_path / "out")) == 14


def test_keys_without_number_give_a_short_report(tmp_path):
    row = {"instruction": "q", "output": "a"}
    write_lines(tmp_path / "a.jsonl", [row | {f"key {n} {'x' * 200}": 1 for n in range(3000)}])
    merge([tmp_path / "a.jsonl"], tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert len(card) < 10_000
    assert "2980 more warnings are in `ledger.json`" in card
