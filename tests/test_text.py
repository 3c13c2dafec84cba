"""Small judgements of text."""

import pytest

from dollymix.text import is_blank, nearest, normal_form, printable, quoted


@pytest.mark.parametrize(
    "text",
    ["", " ", "\t\r\n", "\u00a0\u3000", "\u200b", "\ufeff \u2060", "\u3164", "\x00", " \u00ad"],
)
def test_white_space_and_invisible_characters_alone_are_blank(text):
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " .", "\u200bㅋ", "0", "\ufffd", "👩‍🚀", "\x1b", "ᄇᆡ"])
def test_anything_to_be_seen_is_not_blank(text):
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello  World", "hello world"),
        (" a\r\nb\t", "a b"),
        ("가", "\u1100\u1161"),
        ("a\u200bb", "ab"),
        ("STRASSE", "straße"),
        ("年", "\uf98e"),
    ],
)
def test_texts_that_read_the_same_have_one_normal_form(one, other):
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(
    ("one", "other"), [("①", "1"), ("ㄱ", "가"), ("ㄱ", "\u1100"), ("ａ", "a"), ("ab", "a b")]
)
def test_texts_that_read_otherwise_have_another(one, other):
    assert normal_form(one) != normal_form(other)


@pytest.mark.parametrize("text", ["", "가  나", "İ", "ﬃ x", "\u0345a", "ᄇᆡ가", "A\u030a"])
def test_the_normal_form_is_its_own(text):
    assert normal_form(normal_form(text)) == normal_form(text)


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "a\nb", "\u202etxt", "\x9b", "\u2028", "\udc80", "\x7f"]
)
def test_nothing_that_a_terminal_acts_on_is_printed(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown != text
    shown.encode()


def test_what_is_harmless_is_printed_as_it_is():
    assert printable("한국어 text 👩 ①") == "한국어 text 👩 ①"


def test_a_quoted_value_is_cut():
    assert len(quoted("가" * 1000)) <= 82
    assert quoted("가") == "`가`"


def test_the_nearest_name_is_near():
    assert nearest("sharegtp", ["alpaca", "sharegpt"]) == "sharegpt"
    assert nearest("zzz", ["alpaca", "sharegpt"]) is None
