"""Hypothesis strategies: source files of five formats, good and bad records mixed, in every framing
and packing, and recipes over them. A case knows what it planted; it never asks the product."""

import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.laws import profiles  # noqa: F401  (loads the profile)
from tests.laws.builds import write_recipe, zstd

FORMATS = ("dolly", "alpaca", "sharegpt", "squad", "korquad2")
PLAIN_ROWS = ("dolly", "alpaca")
UNDER_DATA = ("squad", "korquad2")
UNIT_BYTES = (1, 7, 100, 4096, 1 << 20)

_NASTY = (
    "가나다",
    "두 줄\n그리고 탭\t",
    "CR\r\nLF",
    'say "hi" \\ / \\"',
    '},{"id": 1, "instruction": "no"',
    '}, {"instruction": "a", "output": "b"}, {"context": "',
    '"data": [{"paragraphs": [',
    "]]}}[[{{,,",
    "\x00nul",
    "line\u2028and\u2029paragraph\x85next",
    "😀👩‍👩‍👧",
    "ĊഊਊĀ\u0a0d",
    "ㅋㅋ 뷁",
    "\ufeffbom inside",
    "{'single': None}",
    "a" * 120,
)
_letters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.sampled_from(_NASTY), st.text(_letters, min_size=1, max_size=12), st.sampled_from("abc")
).map(lambda text: text if any(_says(c) for c in text) else text + "x")
blanks = st.sampled_from(["", " ", "\r\n", "\u200b", "\t\u3000 "])
wrong = st.sampled_from([None, 7, -0.5, True, [], {}, ["x"], {"a": "b"}])
_odd_keys = st.dictionaries(
    st.sampled_from(["lang", "url2", "},{", "데이터", "score"]),
    st.sampled_from([1, None, "x", [1, {"a": []}], {"data": [{}]}]),
    max_size=2,
)


def _says(char: str) -> bool:
    return char.isalnum()


@st.composite
def _shuffled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """The same object with its keys in another order."""
    return {key: value[key] for key in draw(st.permutations(list(value)))}


@st.composite
def _spoiled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """An object with one value missing, null, blank or of another type."""
    key = draw(st.sampled_from(sorted(value)))
    kind = draw(st.sampled_from(["missing", "wrong", "blank"]))
    rest = {name: value[name] for name in value if name != key}
    if kind == "missing":
        return rest
    return {**rest, key: draw(wrong if kind == "wrong" else blanks)}


def _maybe_spoiled(good: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    return st.one_of(good, good, good, good.flatmap(_spoiled), wrong)


# --- records, as values ---------------------------------------------------------------------

_dolly = st.fixed_dictionaries(
    {"instruction": texts, "response": texts, "context": st.one_of(st.just(""), texts)},
    optional={"category": st.sampled_from(["open_qa", "closed_qa", "", "summarization"])},
)
_alpaca = st.fixed_dictionaries(
    {"instruction": texts, "output": texts},
    optional={
        "input": st.one_of(st.just(""), st.none(), texts),
        "system": st.sampled_from(["", "be kind"]),
        "history": st.sampled_from([[], [["q", "a"]]]),
    },
)
_turn = st.fixed_dictionaries(
    {
        "from": st.sampled_from(
            ["human", "gpt", "human", "gpt", "user", " gpt ", "system", "tool", "narrator"]
        ),
        "value": st.one_of(texts, texts, texts, blanks),
    },
    optional={"lang": st.just("ko")},
)


@st.composite
def _good_chat(draw: st.DrawFn) -> dict[str, Any]:
    pairs = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
    turns = [
        {"from": role, "value": text}
        for pair in pairs
        for role, text in zip(("human", "gpt"), pair, strict=True)
    ]
    stem, part = draw(st.sampled_from(["QWJhYvA", "abcdefg", "x"])), draw(st.integers(0, 4))
    return {"id": f"{stem}_{part}", "conversations": turns}


_chat = st.fixed_dictionaries(
    {"conversations": st.lists(_maybe_spoiled(_turn), max_size=5)},
    optional={"id": st.sampled_from(["abcdefg_2", 12, None]), "system": st.just("be short")},
)


@st.composite
def _question(draw: st.DrawFn, context: str, *, one: bool) -> dict[str, Any]:
    """A question about a context; `one` for KorQuAD 2, whose answer is an object."""
    start = draw(st.integers(0, len(context) - 1))
    end = draw(st.integers(start + 1, len(context)))
    shift = draw(st.sampled_from([0, 0, 0, 1, -3]))
    answer: dict[str, Any] = {"text": context[start:end], "answer_start": start + shift}
    if draw(st.integers(0, 5)) == 0:
        answer = {"text": "nowhere in the context \u2603", "answer_start": 0}
    question: dict[str, Any] = {"id": draw(st.sampled_from(["1-0-0", 7])), "question": draw(texts)}
    if one:
        return {**question, "answer": answer}
    answers = draw(st.sampled_from([[answer], [answer], [answer, answer], []]))
    return {**question, "answers": answers}


@st.composite
def _good_squad(draw: st.DrawFn) -> dict[str, Any]:
    context = draw(texts)
    question = {
        "id": "g",
        "question": draw(texts),
        "answers": [{"text": context, "answer_start": 0}],
    }
    paragraph = {"context": context, "qas": [question]}
    return {"title": draw(st.sampled_from(["한강", "title"])), "paragraphs": [paragraph]}


@st.composite
def _squad(draw: st.DrawFn) -> dict[str, Any]:
    paragraphs = []
    for _ in range(draw(st.integers(0, 2))):
        context = draw(texts)
        questions = st.lists(_maybe_spoiled(_question(context, one=False)), max_size=3)
        paragraphs.append({"context": context, "qas": draw(questions)})
    spoiled = [draw(_maybe_spoiled(st.just(paragraph))) for paragraph in paragraphs]
    return {"title": draw(st.sampled_from(["한강", "", "t"])), "paragraphs": spoiled}


@st.composite
def _good_korquad2(draw: st.DrawFn) -> dict[str, Any]:
    context = f"<p>{draw(texts)}</p>"
    answer = {"text": context, "answer_start": 0, "html_answer_text": "x", "html_answer_start": 1}
    questions = [{"id": "8089", "question": draw(texts), "answer": answer}]
    return {"title": "예고범", "url": "u", "context": context, "raw_html": "<a", "qas": questions}


@st.composite
def _korquad2(draw: st.DrawFn) -> dict[str, Any]:
    context = draw(texts)
    questions = draw(st.lists(_maybe_spoiled(_question(context, one=True)), max_size=3))
    return {"title": "페이지", "context": context, "qas": questions}


_GOOD = {
    "dolly": _dolly,
    "alpaca": _alpaca,
    "sharegpt": _good_chat(),
    "squad": _good_squad(),
    "korquad2": _good_korquad2(),
}
_MIXED = {
    "dolly": _dolly,
    "alpaca": _alpaca,
    "sharegpt": _chat,
    "squad": _squad(),
    "korquad2": _korquad2(),
}


# --- records, as text -----------------------------------------------------------------------


@st.composite
def _written(draw: st.DrawFn, value: Any, *, one_line: bool) -> str:
    """A value as JSON text, in one of the ways in which people write it."""
    style = draw(st.sampled_from(["plain", "ascii", "tight", "wide"]))
    if style == "wide" and not one_line:
        return json.dumps(value, ensure_ascii=False, indent=draw(st.sampled_from([1, 2, "\t"])))
    separators = (",", ":") if style == "tight" else None
    text = json.dumps(value, ensure_ascii=style == "ascii", separators=separators)
    return text.replace("</", "<\\/") if draw(st.booleans()) else text


@st.composite
def _bad_text(draw: st.DrawFn, form: str, *, one_line: bool) -> str:
    """A record that is none: of the wrong kind, or (in a line of its own) no JSON at all."""
    good = json.dumps(draw(_GOOD[form]), ensure_ascii=False)
    surrogate = good[:-1] + ', "note": "\\ud83d cut"}'
    twice = good[:-1] + ', "instruction": "again"}'
    kinds = ["1", "null", '"text"', "[]", '[{"a": 1}]', "{}", '{"other": "keys"}', surrogate, twice]
    if one_line:
        kinds += [good[: len(good) // 2], "no json", good + "}", good + ",", "{'a': 'b'}", "\x1e{}"]
    return draw(st.sampled_from(kinds))


def good_records(form: str, *, one_line: bool = True) -> st.SearchStrategy[str]:
    """Records of a format that all give examples."""
    return _GOOD[form].flatmap(_shuffled).flatmap(lambda v: _written(v, one_line=one_line))


def records(form: str, *, one_line: bool) -> st.SearchStrategy[str]:
    """Records of a format as JSON text: good, quirky and bad ones."""
    mixed = st.builds(lambda a, b: {**a, **b}, _MIXED[form], _odd_keys)
    written = mixed.flatmap(_shuffled).flatmap(lambda v: _written(v, one_line=one_line))
    spoiled = mixed.flatmap(_spoiled).flatmap(lambda v: _written(v, one_line=one_line))
    good = good_records(form, one_line=one_line)
    return st.one_of(good, written, written, spoiled, _bad_text(form, one_line=one_line))


# --- files ----------------------------------------------------------------------------------


@dataclass
class Member:
    """One stream of records: a file, or a member of an archive. `data` is what is left when it is
    decompressed; `records` are the records' texts in order."""

    name: str
    framing: str
    encoding: str
    records: list[str]
    data: bytes = field(repr=False)


@dataclass
class SourceFile:
    """A file on disk. `members` has one entry, or those of a zip, under their names in ids."""

    name: str
    data: bytes = field(repr=False)
    members: list[Member]


@st.composite
def _framed(draw: st.DrawFn, framing: str, records: list[str]) -> str:
    """The text of a file that holds these records."""
    if framing == "object":
        return draw(st.sampled_from(["", " \n"])) + records[0] + draw(st.sampled_from(["", "\n"]))
    if framing == "jsonl":
        end = draw(st.sampled_from(["\n", "\r\n"]))
        blank = draw(st.sampled_from(["", "", end, " \t" + end]))
        return blank + (end + blank).join(records) + draw(st.sampled_from(["", end, end + end]))
    style = draw(st.sampled_from(["compact", "spaced", "lines", "ragged"]))
    comma = {"compact": ",", "spaced": ", ", "lines": ",\n", "ragged": " \r\n , \t"}[style]
    inside = {"compact": "", "spaced": " ", "lines": "\n", "ragged": "\n\t"}[style]
    array = f"[{inside}{comma.join(records)}{inside}]"
    if framing == "array":
        return draw(st.sampled_from(["", "\n "])) + array + draw(st.sampled_from(["", "\n"]))
    before = draw(
        st.sampled_from(
            ["", '"version": "1", ', '"note": "\\"data\\": [", ', '"info": {"data": [1]},\n']
        )
    )
    after = draw(st.sampled_from(["", ', "version": "x"', ', "tail": [{"data": []}]']))
    return f'{{{before}"data":{draw(st.sampled_from(["", " "]))}{array}{after}}}'


def _encodable(text: str, encoding: str) -> str:
    """The text, with what the encoding cannot hold as JSON escapes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if _fits(c, encoding) else json.dumps(c)[1:-1] for c in text)
    return text


def _fits(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


_BOMS = {"utf-8": "", "utf-8-sig": "", "utf-16-le": "\ufeff", "utf-16-be": "\ufeff", "cp949": ""}


@st.composite
def members(
    draw: st.DrawFn,
    form: str,
    name: str,
    encodings: tuple[str, ...] = tuple(_BOMS),
    most: int = 8,
) -> Member:
    """One stream of records. Its first record is good, so that the file is one of that format."""
    framing = draw(st.sampled_from(["jsonl", "array", "data", "jsonl", "array", "object"]))
    if framing == "data" and form not in UNDER_DATA:
        framing = "array"
    encoding = draw(st.sampled_from(encodings))
    one_line = framing == "jsonl"
    texts_of = [draw(good_records(form, one_line=one_line))]
    if framing != "object":
        texts_of += draw(st.lists(records(form, one_line=one_line), max_size=most))
        if draw(st.booleans()):
            texts_of.append(draw(st.sampled_from(texts_of)))
    texts_of = [_encodable(text, encoding) for text in texts_of]
    text = draw(_framed(framing, texts_of))
    data = (_BOMS[encoding] + text).encode(encoding)
    stored = "utf-8" if encoding == "utf-8-sig" else encoding
    return Member(name, framing, stored, texts_of, data)


def packed(data: bytes, packing: str) -> bytes:
    """The bytes of a file with this content."""
    if packing == "gzip":
        return gzip.compress(data, mtime=0)
    if packing == "gzip of two members":
        half = len(data) // 2
        return gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
    if packing == "zstd":
        return zstd.compress(data)
    return data


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these members; its bytes depend on nothing else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, method)
    return buffer.getvalue()


@st.composite
def source_files(
    draw: st.DrawFn, form: str, name: str, encodings: tuple[str, ...] = tuple(_BOMS)
) -> SourceFile:
    """A file of one format, packed in some way."""
    packing = draw(
        st.sampled_from(["plain", "plain", "gzip", "gzip of two members", "zstd", "zip", "stored"])
    )
    if packing not in ("zip", "stored"):
        member = draw(members(form, name, encodings))
        return SourceFile(name, packed(member.data, packing), [member])
    inner = [f"m{number}.json" for number in range(draw(st.integers(1, 2)))]
    made = [draw(members(form, f"{name}!{each}", encodings)) for each in inner]
    method = zipfile.ZIP_STORED if packing == "stored" else zipfile.ZIP_DEFLATED
    data = zipped({each: m.data for each, m in zip(inner, made, strict=True)}, method)
    return SourceFile(name, data, made)


# --- recipes --------------------------------------------------------------------------------


@dataclass
class Source:
    """One source of a recipe, with what is in its files."""

    name: str
    form: str
    files: list[SourceFile]
    settings: dict[str, Any]

    def members(self) -> list[Member]:
        """Its streams of records in canonical order."""
        return [member for file in self.files for member in file.members]


@dataclass
class Case:
    """A recipe and all its files."""

    sources: list[Source]
    settings: dict[str, Any]

    def write(self, folder: Path) -> Path:
        """Put everything into a folder; returns the recipe's path."""
        listed = []
        for source in self.sources:
            place = folder / source.name
            place.mkdir(parents=True, exist_ok=True)
            for file in source.files:
                (place / file.name).write_bytes(file.data)
            files = [f"{source.name}/{file.name}" for file in source.files]
            listed.append({"name": source.name, "files": files, **source.settings})
        return write_recipe(folder, {"sources": listed, **self.settings})


_ROW_STEPS = (
    "required_text",
    {"required_text": {"fields": ["context"]}},
    {"required_text": {"fields": ["instruction", "context", "response"]}},
)
_GROUP_STEPS = (
    "exact_duplicates",
    {"exact_duplicates": {"fold": True}},
    {"exact_duplicates": {"fields": ["response"]}},
)


@st.composite
def steps(draw: st.DrawFn) -> list[Any]:
    """Steps in an order that a recipe takes."""
    row = draw(st.lists(st.sampled_from(_ROW_STEPS), max_size=1))
    return row + draw(st.lists(st.sampled_from(_GROUP_STEPS), max_size=2))


@st.composite
def _options(draw: st.DrawFn, form: str) -> dict[str, Any]:
    if form == "sharegpt":
        grouped = [{"group": "record"}, {"group": "id"}]
        return draw(st.sampled_from([{}, {"turns": "whole"}, {"history": "context"}, *grouped]))
    if form == "squad":
        return draw(st.sampled_from([{}, {"answers": "all"}, {"not_in_context": "keep"}]))
    return {}


@st.composite
def sources(draw: st.DrawFn, name: str, forms: tuple[str, ...] = FORMATS) -> Source:
    """A source of one or two files."""
    form = draw(st.sampled_from(forms))
    settings: dict[str, Any] = {}
    encodings = tuple(_BOMS)[:-1]
    if draw(st.integers(0, 5)) == 0:
        # A declared encoding holds for every file that has no byte-order mark.
        settings["encoding"], encodings = "cp949", ("cp949",)
    names = ("a.json", "b.jsonl")[: draw(st.integers(1, 2))]
    files = [draw(source_files(form, each, encodings)) for each in names]
    if draw(st.booleans()):
        settings["format"] = form
        options = draw(_options(form))
        if options:
            settings["options"] = options
    for key, values in (("category", ["auto", "qa", None]), ("licence", ["cc0-1.0", None])):
        value = draw(st.sampled_from(values))
        if value:
            settings[key] = value
    if draw(st.integers(0, 3)) == 0:
        settings["steps"] = draw(steps())
    return Source(name, form, files, settings)


@st.composite
def cases(draw: st.DrawFn, forms: tuple[str, ...] = FORMATS, most: int = 3) -> Case:
    """A recipe over one to three sources."""
    names = ["one", "둘", "three.3"][: draw(st.integers(1, most))]
    made = [draw(sources(name, forms)) for name in names]
    settings: dict[str, Any] = {}
    if draw(st.booleans()):
        settings["steps"] = draw(steps())
    if draw(st.booleans()):
        settings["splits"] = draw(
            st.sampled_from([{"train": 1.0}, {"train": 0.5, "test": 0.5}, {"a": 0.3, "b": 0.7}])
        )
    if draw(st.booleans()):
        settings["shuffle"] = True
        settings["seed"] = draw(st.integers(0, 3))
    if draw(st.integers(0, 3)) == 0:
        outputs = [{"view": "dolly", "format": "jsonl"}, {"view": "dolly", "format": "parquet"}]
        settings["outputs"] = outputs
    return Case(made, settings)


# --- what a record is made of, counted slowly -----------------------------------------------


def parts_of(form: str, text: str) -> int:
    """How many parts a record has: those of its lists, or one where they cannot be counted."""
    value = _value(text)
    if not isinstance(value, dict) or form in PLAIN_ROWS:
        return 1
    if form == "sharegpt":
        turns = value.get("conversations")
        return len(turns) if isinstance(turns, list) else 1
    if "title" in value and not isinstance(value["title"], str | None):
        return 1
    if form == "korquad2":
        if "url" in value and not isinstance(value["url"], str | None):
            return 1
        return _questions(value)
    paragraphs = value.get("paragraphs")
    if not isinstance(paragraphs, list):
        return 1
    return sum(_questions(paragraph) for paragraph in paragraphs)


def _questions(holder: Any) -> int:
    if not isinstance(holder, dict) or not isinstance(holder.get("context"), str):
        return 1
    questions = holder.get("qas")
    return len(questions) if isinstance(questions, list) else 1


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return None
    return value
