"""Odd text is kept letter for letter, flagged in the lineage and counted; other text is not."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dollymix import oddities
from dollymix.example import Example
from dollymix.steps.normalize import Step
from tests.framing.files import merged
from tests.helpers import ORIGIN, merge, read_ledger, write_lines
from tests.laws.builds import contents

ODD = {
    "text.control_char": ["a\x00b", "a\x1bb", "\x07a", "a\x7f", "a\bb", "a\fb", "\x0ba", "\x1fa"],
    "text.replacement_char": ["a\ufffdb", "\ufffda"],
    "text.not_nfc": [
        "\u1112\u1161\u11ab",  # 한 in jamo
        "e\u0301",
        "か\u3099",
        "\u212b \u2126",
        "\u0651\u064e\u064b",
        "\ufb2a",
        "a\u0344b",
    ],
    "text.bidi_control": ["a\u202eb", "a\u202ab", "a\u2066b", "\u2069a"],
    "text.tag_char": ["a\U000e0041b", "a\U000e007fb", "a\U000e0001b"],
    "text.noncharacter": ["a\ufffeb", "a\uffffb", "a\U0001ffffb", "a\U0001fffeb"],
    "text.mojibake": [
        "한글".encode().decode("latin-1"),
        "é à".encode().decode("latin-1") + "é".encode().decode("latin-1") * 2,
    ],
}


def windows(data):
    """The bytes as a browser reads Windows-1252: undefined ones as control characters."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)


ODD["text.mojibake"] += [
    "cafÃ© crÃ¨me",
    "Ã©",
    "Â£5",
    "itâ€™s",
    "â€\x9dquotedâ€",
    "a âœ“ and ðŸ˜€",
    "3 Ã— 4",
    "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
    *(windows(text.encode()) for text in ("한글", "안녕하세요 여러분", "日本語")),
    *("안녕하세요 여러분".encode().decode("cp1252", how) for how in ("ignore", "replace")),
    *(text.encode("euc-kr").decode("latin-1") for text in ("한글", "안녕하세요", "책 나는 간다")),
    "안녕하세요".encode("euc-kr").decode("cp1252"),
]
PLAIN = [
    "\uf900 豈 \U0002f800",
    "ㄱ ① ᄒ Å Ω",
    "한글 텍스트, 그리고 더.",
    "tab\tand\nlines\r\n",
    "back\\slash \\u0000 \\b \\f and \\\\u001b",
    "café naïve Ünïcödé",
    "😀 👩‍👩‍👧 🏴",
    "漢字 かな 全角！＂",
    "\u200b zero width \u200d and \u200f marks \ufeff",
    "×÷ÂÃ",
    "« été » – « café… » José’” così…» aquí”… à\xa0la fin\xa0»",
    "LA MANHÃ… „Â” NÃO ÇÃO “CAFÉ”",
    "ÀÁÂÃÄÅÆÇÈÉÊË créée 20°C ±5 ½ ¿Qué? ¡Él!",
    "가·나·다 ±3℃ ²³ °F 제1·2호",
    "Größe Übung Ærø ångström İstanbul Łódź",
    "\u3131\u314f",
    "\U0001f1f0\U0001f1f7",
    "\ue000 private \U0010fffd",
    "",
]


def encoded(texts):
    """Dolly lines, one with each of the texts, and where each line ends."""
    data, ends = b"", []
    for text in texts:
        line = {"instruction": "q", "context": text, "response": "a", "category": "c"}
        data += json.dumps(line, ensure_ascii=False).encode() + b"\n"
        ends.append(len(data))
    return data, ends


@pytest.mark.parametrize(("flag", "text"), [(flag, text) for flag in ODD for text in ODD[flag]])
def test_a_flag(flag, text):
    data, ends = encoded(["x", text, "y"])
    assert oddities.find(data, ends) == {1: [flag]}
    data, ends = encoded([text])
    assert oddities.find(bytearray(data), ends) == {0: [flag]}


def test_plain_text_has_none():
    data, ends = encoded(PLAIN)
    assert oddities.find(data, ends) == {}
    assert oddities.find(b"", []) == {}


def texts_of(value):
    """Every text in the JSON, once."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(texts_of, inner))


# Meetei Mayek, Vai and their kin are passed over, as the source says.
MARKS = [
    char
    for char in map(chr, [*range(0x300, 0xA000), *range(0xFB00, 0x1EFFF)])
    if not 0xD800 <= ord(char) < 0xE000
    and (unicodedata.combining(char) or not unicodedata.is_normalized("NFC", "a" + char))
]


@given(st.text(alphabet=st.sampled_from([*MARKS, *"aeo가あक한\u1112\u1161\u11ab\uf900豈"])))
def test_not_nfc_is_what_nfc_changes(text):
    data, ends = encoded([text])
    found = "text.not_nfc" in oddities.find(data, ends).get(0, [])
    example = Example(instruction="q", context=text, response="a", origin=ORIGIN)
    without, composed = Step()(example), Step(form="nfc")(example)
    assert found == (oddities.in_nfc(text) != text)
    # Blanks at the edges may stand in the way of nothing.
    if without is example:
        assert found == (composed is not example)


def test_each_mark_is_looked_at():
    for mark in MARKS:
        text = f"a{mark} \u1112{mark} {mark}\u0316"
        data, ends = encoded([text])
        assert (oddities.find(data, ends) != {}) == (oddities.in_nfc(text) != text), hex(ord(mark))


def test_the_warning_goes_when_the_form_is_nfc(place):
    rows = [{"instruction": text, "output": "a"} for text in ("\uf98e年", "e\u0301", "é", "한글")]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert merged(place, data).ledger["sources"]["s"]["warnings"] == {"text.not_nfc": 1}
    path = write_lines(place / "b.jsonl", rows)
    sources = f"version: 1\nsources: [{{name: s, files: [{path}]}}]\n"
    merge(f"{sources}steps: [normalize: {{form: nfc}}]\n", place / "composed")
    total = read_ledger(place / "composed")["total"]
    assert (total["changed"], total["warnings"]) == ({"normalize": 1}, {})


LIKELY = st.text(
    alphabet=st.sampled_from(
        "aA \n가\x80\x9d\xa0\xa9\xb0\xb1\xb4\xbb\xbfÀÂÃÇÈÑßàâéêíðôþ€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ·×"
    )
)


@given(LIKELY | st.text().map(lambda text: windows(text.encode())))
def test_the_search_in_the_bytes_misses_no_misread_text(text):
    data, ends = encoded([text])
    found = "text.mojibake" in oddities.find(data, ends).get(0, [])
    assert found == oddities.is_misread(text)


@pytest.mark.parametrize("bait", ["Ã", "â€", "é…»", "Ð¿", "³ª", "ÇÑ", "à", "ê°", "Â", "°Ã"])
def test_long_baits_take_no_time(bait):
    data, ends = encoded([bait * (100_000 // len(bait))])
    oddities.find(data, ends)


def test_real_sets_have_three_misread_texts(shared):
    names = {
        "sharegpt/lf_kto_en_demo.json": 2,
        "sharegpt/sharegpt92k_sample_700.json": 1,
        "alpaca_en/axolotl_alpaca_fr_head.jsonl": 0,
        "alpaca_ko/ko_alpaca_data.12761.json": 0,
        "korquad1/KorQuAD_v1.0_dev.json": 0,
    }
    for name, count in names.items():
        data = (shared / "data" / name).read_bytes()
        parts = data.splitlines() if name.endswith(".jsonl") else [data]
        texts = texts_of([json.loads(part) for part in parts])
        assert sum(map(oddities.is_misread, texts)) == count, name


def test_several_flags_in_one_line_and_one_in_several():
    everything = "".join(texts[0] for texts in ODD.values())
    data, ends = encoded(["x", everything, ODD["text.tag_char"][0], everything])
    found = oddities.find(data, ends)
    assert found == {1: list(ODD), 2: ["text.tag_char"], 3: list(ODD)}


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
def test_flags_in_the_lineage_and_in_the_books(place, field):
    rows = [{"instruction": "q", "input": "c", "output": "a"}]
    rows += [{**rows[0], field: f"{texts[0]} x"} for texts in ODD.values()]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = []
    for unit_bytes, workers in ((1, 1), (150, 1), (1 << 20, 2)):
        build = merged(place, data, unit_bytes=unit_bytes, workers=workers)
        found.append(contents(place / "out"))
    assert found[0] == found[1] == found[2]
    written = build.written()
    name = {"instruction": "instruction", "input": "context", "output": "response"}[field]
    assert [line[name] for line, _ in written] == [row[field] for row in rows]
    assert [row["flags"] for _, row in written] == [None, *([flag] for flag in ODD)]
    assert build.ledger["sources"]["s"]["warnings"] == dict.fromkeys(sorted(ODD), 1)


def test_formulas_are_those_of_tables_alone(place):
    rows = ["=1+1", "+82", "-x", "@a", "=", "0=1"]
    table = "instruction,output\n" + "".join(f"q,{text}\n" for text in rows)
    build = merged(place, table.encode(), "a.csv")
    flags = [row["flags"] for _, row in build.written()]
    assert [bool(flag) for flag in flags] == [True, True, True, True, False, False]
    data = "".join(json.dumps({"instruction": "q", "output": text}) + "\n" for text in rows)
    build = merged(place, data.encode(), "a.jsonl")
    assert [row["flags"] for _, row in build.written()] == [None] * 6
