"""An independent check of the partition law: `python tests/conserve/check.py BUILD`.

Every part (turn, question, row) of every record of every input is in exactly one of: used by an
example (a line, or dropped with a reason), used as context of one, rejected. This proves it of a
finished build. It imports nothing of the product: it reads the inputs again with slow readers of
its own, has its own idea of what a record of each format holds, and compares that, origin by
origin, with what lineage, drops and rejects claim. It changes nothing; claims are sorted in a
temporary database, so that memory does not grow with the input. It prints a table, and exits 0, or
1 with the first 20 violations: place, check, what was found, what was wanted.
"""

import base64
import bz2
import csv
import glob
import gzip
import hashlib
import io
import itertools
import json
import lzma
import os
import re
import sqlite3
import sys
import tarfile
import unicodedata
import zipfile
from collections import Counter, namedtuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

try:
    from compression import zstd
except ImportError:
    from backports import zstd

SHOWN, PIECE, LIMIT = 20, 1 << 20, 64 << 20
PACKED = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma, b"\x28\xb5\x2f\xfd": zstd}
KEYS = ["instruction", "context", "response", "category"]
DROPS = ("filtered", "duplicate", "contaminated")
COUNTED = ("files", "records", "parts", "parts_used", "parts_rejected", "examples", "written")
COUNTED += DROPS
SHAPE = frozenset(("schema.type", "schema.null", "schema.missing_field", "json.number_range"))
BROKEN = {"json.syntax", "json.depth", "json.duplicate_key", "record.too_many_keys", "csv.quote"}
BROKEN |= {"csv.column_count", "encoding.invalid", "encoding.invalid_utf8"}
BROKEN = frozenset(BROKEN | {"unicode.lone_surrogate"})
WITHOUT_BYTES = frozenset(("record.too_large", "source.truncated_tail"))
INVISIBLE = set("\0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u3164\ufeff\uffa0")
INVISIBLE |= set(map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065)]))
INVISIBLE |= set(map(chr, range(0x2066, 0x206A)))
EQUATIONS = (
    ("records", "with_examples only_rejected empty"),
    ("parts", "parts_used parts_rejected"),
    ("examples repeated", "written filtered duplicate contaminated not_sampled"),
)
# A record: an object, or why it is rejected as one part; what its reject holds; its bytes (of
# Parquet row group and row); its line; how much line end a claim may count in, behind `last`.
Record = namedtuple("Record", "value raw first last line slack", defaults=(None, 0))
# What must become of a part, or of several: rejected for one of these reasons, or used by an
# example of these texts, beside which stand system, group, history, after, rejected.
Part = namedtuple("Part", "path parts reasons texts beside", defaults=(None, None))
# What the build says of a part: a line (`written`), a drop (its outcome), or a reject.
COLUMNS = "id file record path copy kind first last split line parts reason text category beside"
Claim = namedtuple("Claim", f"{COLUMNS} same because family", defaults=[None] * 10)


def safe(value, limit=120):
    """A value for a message: short, and harmless on a terminal."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def digest(*texts):
    body = f"{[len(text) for text in texts]}{''.join(texts)}"
    return hashlib.blake2b(body.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def folded(text, fold):
    """What is equal of texts that are equal when they are folded: letters and digits."""
    if not fold:
        return text
    kept = unicodedata.normalize("NFC", text).casefold()
    return "".join(char for char in kept if char.isalnum() and char not in INVISIBLE)


def stated(path):
    """The size and digest of a file."""
    if not path.is_file():
        return "no file"
    with open(path, "rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def no_json(name):
    raise ValueError(f"{name} is not JSON")


def twice(pairs):
    """An object in which a key that stands twice has no good value."""
    names = Counter(key for key, _ in pairs)
    return {key: value if names[key] == 1 else SHAPE for key, value in pairs}


JSON = json.JSONDecoder(parse_constant=no_json)
TWICE = json.JSONDecoder(parse_constant=no_json, object_pairs_hook=twice)
HALF = re.compile("[\ud800-\udfff]")


def parsed(text):
    """The object that a text holds, or why it holds none."""
    try:
        value = JSON.decode(text)
    except (ValueError, RecursionError):
        return BROKEN
    escaped = re.search(r"\\u[dD][89a-fA-F]", text) and not HALF.search(text)
    if escaped and HALF.search(json.dumps(value, ensure_ascii=False)):
        return BROKEN
    return value if isinstance(value, dict) else frozenset(("schema.not_object",))


def unpacked(stream):
    """The stream, or what is packed in it, told by its magic number."""
    head = stream.peek(6)
    kind = next((kind for magic, kind in PACKED.items() if head.startswith(magic)), None)
    return kind.open(stream) if kind else stream


def opened(file, member):
    """The bytes of a file, or of the member of an archive, decompressed."""
    if not member:
        return unpacked(file)
    if zipfile.is_zipfile(file):
        return unpacked(zipfile.ZipFile(file).open(member))
    file.seek(0)
    archive = tarfile.open(fileobj=unpacked(file), mode="r|")  # noqa: SIM115
    names = member, f"./{member}"
    return unpacked(archive.extractfile(next(info for info in archive if info.name in names)))


def lines(stream, encoding):
    """Lines: number, bytes without the end, text (or None), place, how long the end is."""
    end, number, line, at = "\n".encode(encoding), 0, b"", 0
    mark = "\ufeff".encode(encoding) if encoding.startswith("utf") else b"no mark"
    while (piece := stream.readline()) or line:
        line += piece
        line += stream.read(-len(line) % len(end)) if piece else b""
        ended = line.endswith(end) and len(line) % len(end) == 0
        if ended or not piece:
            skip = len(mark) * (at == 0 and line.startswith(mark))
            raw, number, first = line[skip : len(line) - len(end) * ended], number + 1, at + skip
            at, line = at + len(line), b""
            try:
                text = raw.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
            except UnicodeDecodeError:
                text = None
            yield number, raw, text, first, len(end) * ended


def json_lines(stream, encoding, limit):
    plain = encoding == "utf-8"
    for number, raw, text, first, slack in lines(stream, encoding):
        # Where it is not UTF-8, a record's bytes may run on over the end of its line.
        place = first, first + len(raw), number, 0 if plain and len(raw) <= limit else slack
        if len(raw) > limit:
            yield Record(WITHOUT_BYTES, None, *place)
        elif text is None:
            yield Record(BROKEN, raw, *place)
        elif text.strip(" \t\r\n" if plain else None):
            yield Record(parsed(text), raw if plain else text.encode(), *place)


def table(stream, encoding, mark, kind):
    """CSV (RFC 4180): a field in quotes may have many lines; the first record is the header."""
    csv.field_size_limit(sys.maxsize)
    all_lines, held, header, cells = lines(stream, encoding), [], None, ()
    first = next(all_lines)
    tabs = kind == "tsv" or ("\t" in first[2] and "," not in first[2])
    mark = mark or ("\t" if tabs else ",")
    quoted = re.compile(f'(?<![^{mark}\n])"[^"]*(?:""[^"]*)*"(?![^{mark}\n])')
    every = itertools.chain([first], all_lines)
    feed = (held.append(line) or f"{line[2] or ''}\n" for line in every)
    rows = csv.reader(feed, delimiter=mark, strict=True)
    while cells is not None:
        held.clear()
        try:
            cells = next(rows, None)
        except csv.Error as error:
            if "end of data" in str(error):
                raise
            cells = ()
        text = "\n".join("\0" if line[2] is None else line[2] for line in held)
        bare = text.removesuffix("\r")
        if header and cells is not None and bare:
            good = '"' not in quoted.sub("", bare) and len(cells) == len(header)
            value = dict(zip(header, cells, strict=True)) if good else BROKEN
            (line, _, _, start, _), last = held[0], held[-1]
            end, cut = last[3] + len(last[1]), len(text) - len(bare)
            raw = text.encode("utf-8", "surrogateescape")
            yield Record(value, raw, start, end - cut, line, last[4] + cut)
        header = header or cells


def columnar(file, member, kind):
    plain = not member and file.peek(4)[:4] in (b"PAR1", b"ARRO")
    source = file if plain else pa.BufferReader(opened(file, member).read())
    if kind == "parquet":
        found = pq.ParquetFile(source)
        groups = (found.iter_batches(512, [group]) for group in range(found.num_row_groups))
    else:
        found = pa.ipc.open_file(source)
        groups = ([found.get_batch(number)] for number in range(found.num_record_batches))
    for group, batches in enumerate(groups):
        for row, value in enumerate(value for batch in batches for value in batch.to_pylist()):
            yield Record(value, None, group, row)


class Document:
    """A JSON document, a stretch at a time: bytes as Latin-1, in which each is one character, and
    all of JSON's signs are themselves. `base` is the byte where `text` begins."""

    def __init__(self, stream):
        self.stream, self.text, self.pos, self.base, self.ended = stream, "", 0, 0, False

    def more(self):
        """Read further; False at the end, or in a value without one."""
        left = len(self.text) - self.pos
        if self.ended or left > 2 * LIMIT:
            return False
        data = self.stream.read(max(PIECE, left))
        self.text = self.text[self.pos :] + data.decode("latin-1")
        self.base, self.pos, self.ended = self.base + self.pos, 0, not data
        return True

    def next(self):
        """The next character that is no white space; nothing at the end."""
        while True:
            self.pos = re.compile(r"[ \t\r\n]*").match(self.text, self.pos).end()
            if self.pos < len(self.text) or not self.more():
                return self.text[self.pos : self.pos + 1]

    def take(self, wanted):
        sign, self.pos = self.next(), self.pos + 1
        if not sign or sign not in wanted:
            raise ValueError(f"byte {self.base + self.pos} has {sign!r}, not one of {wanted!r}")
        return sign

    def value(self):
        """The next value's bytes, and its place."""
        while self.next():
            try:
                end = JSON.raw_decode(self.text, self.pos)[1]
            except (ValueError, RecursionError):
                if not self.more():
                    raise
                continue
            if end < len(self.text) or not self.more():
                raw, first = self.text[self.pos : end].encode("latin-1"), self.base + self.pos
                self.pos = end
                return raw, first, first + len(raw)
        raise ValueError("the document is cut off")

    def records(self, kind, key):
        """The elements of an array, or one object; at the top, or under a key."""
        self.pos = 3 * (self.next() == "\xef")  # a byte-order mark
        while key and self.take("{,"):
            name = self.value()[0].decode()
            self.take(":")
            if name == json.dumps(key) and self.next() in "[{":
                break
            self.value()
        many = kind == "array" and self.take("[")
        more = self.next() != "]"
        while more:
            raw, *place = self.value()
            yield Record(parsed(raw.decode("utf-8", "surrogateescape")), raw, *place)
            more = many and self.next() != "]" and self.take(",")
        many = many and self.take("]")
        while key and self.take(",}") == ",":
            self.value(), self.take(":"), self.value()
        if self.next():
            raise ValueError(f"byte {self.base + self.pos} has other data behind the document")


def records(file, member, entry, source):
    """The records of an input; None where its framing is not known here."""
    kind, _, key = entry["framing"].replace("`", "").partition(" under ")
    if kind in ("parquet", "arrow"):
        return columnar(file, member, kind)
    stream, encoding = opened(file, member), entry["encoding"]
    if kind == "jsonl":
        return json_lines(stream, encoding, source.get("limits", {}).get("record_bytes", LIMIT))
    if kind in ("csv", "tsv"):
        return table(stream, encoding, source.get("delimiter"), kind)
    return document(stream, encoding, kind, key) if kind in ("array", "object") else None


def document(stream, encoding, kind, key):
    """The records of a JSON document; their places are those in its own encoding."""
    if encoding == "utf-8":
        yield from Document(stream).records(kind, key)
        return
    data, passed, at = stream.read().decode(encoding).encode(), 0, 0
    for record in Document(io.BytesIO(data)).records(kind, key):
        first = at + len(data[passed : record.first].decode().encode(encoding))
        passed, at = record.last, first + len(record.raw.decode().encode(encoding))
        yield record._replace(first=first, last=at)


def typed(holder, *names, nothing=False):
    """True where an object has texts under these names (or, if that is allowed, nothing)."""
    kinds = (str, type(None)) if nothing else str
    return isinstance(holder, dict) and all(isinstance(holder.get(n), kinds) for n in names)


def blank(text):
    return all(char.isspace() or char in INVISIBLE for char in text)


def foreign(record, *supported):
    """Why keys that have a meaning elsewhere refuse a record; those that say nothing do not."""
    faults, pairs = set(), record.get("history")
    good = {key: isinstance(record.get(key), str) for key in ("system", "rejected")}
    good["history"] = isinstance(pairs, list) and all(
        isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in pairs
    )
    for key in (*good, "tools", "chosen", "images", "image", "videos", "audios"):
        if record.get(key) is not None and record[key] not in ("", [], {}):
            faults |= {"schema.unsupported_field"} if key not in supported else set()
            faults |= set() if good.get(key, True) else SHAPE
    return faults


def plain_row(record, options, form):
    """A row is one part, and one example."""
    told, faults = record.get, foreign(record, "system", "history", "tools", "rejected")
    dolly = form == "dolly"
    answers = [told("response")] if dolly else [told("output"), told("response")]
    answer = max((text for text in answers if isinstance(text, str)), key=bool, default=None)
    good = typed(record, "input", "context", "category" if dolly else "output", nothing=True)
    good = good and typed(record, "response", nothing=True) and typed(record, "instruction")
    if dolly and told("input"):
        faults.add("schema.unsupported_field")
    if (told("input") and told("context")) or (all(answers) and answers[0] != answers[-1]):
        faults.add("schema.duplicate_field")
    if answer is None or not good:
        faults |= SHAPE
    elif blank(told("instruction")) or blank(answer):
        faults.add("schema.empty")
    if faults:
        return [Part("", 1, faults)]
    roles, category = itertools.cycle(("user", "assistant")), (told("category") or "") * dolly
    history = [[next(roles), text] for pair in told("history") or () for text in pair]
    beside = told("system") or "", "", history, [], told("rejected") or ""
    context = told("input") or told("context") or ""
    return [Part("", 1, None, (told("instruction"), context, answer, category), beside)]


def chat(record, options, form):
    """A part is a turn. Turns are path, role (None: it has not the shape), text."""
    told, turns = [record[n] for n in ("conversations", "conversation") if n in record], []
    if not told or not all(isinstance(value, list) for value in told):
        return [Part("", 1, SHAPE)]
    if len(told) == 2 and all(told):
        return [Part("", 1, {"schema.duplicate_field"})]
    for number, turn in enumerate(record.get("conversations", ())):
        said = (turn["from"], turn["value"]) if typed(turn, "from", "value") else (None, "")
        turns.append((f"conversations[{number}]", *said))
    for number, turn in enumerate(record.get("conversation", ())):
        path, sides = f"conversation[{number}]", ("human", "assistant")
        good = typed(turn, *sides)
        both = [(f"{path}.{side}", side, turn[side]) for side in sides if good]
        turns += both or [(path, None, "")]
    faults = foreign(record, "system", "tools")
    if faults or not turns:
        return [Part("", len(turns), faults if turns else {"schema.empty"})]
    named, answers = options.get("roles", {}), ("gpt", "assistant", "chatgpt", "bard", "bing")
    kinds = {"system": "system", "tool": "", "function_call": "", "observation": ""}
    kinds |= dict.fromkeys(named.get("instruction", ("human", "user")), "asks")
    kinds |= dict.fromkeys(named.get("response", answers), "answers")
    roles = [kinds.get(role, kinds.get((role or "\0").strip())) for _, role, _ in turns]
    pairs = {i for i in range(1, len(turns)) if roles[i - 1 : i + 1] == ["asks", "answers"]}
    empty = {i for i in pairs if not (turns[i - 1][2].strip() and turns[i][2].strip())}
    read = whole if options.get("turns") == "whole" else each
    beside = record.get("system") or "", family(record, options), options
    return list(read(turns, roles, pairs, empty, *beside))


def family(record, options):
    """What a split keeps together of a conversation."""
    key = options.get("group", "family")
    value = record.get("id" if key == "family" else key)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if key == "family":
        return (re.fullmatch("([A-Za-z0-9]{7})_[0-9]+", text) or ["", ""])[1]
    return "" if value is None or key == "record" else text


def as_context(turns, options):
    told = [f"{role.strip()}: {text}" for _, role, text in turns]
    return "\n\n".join(told) if options.get("history") == "context" else ""


def each(turns, roles, pairs, empty, system, group, options):
    """One example for each answer that stands directly behind a question."""
    told, waiting, unpaired = [], None, {"turn.unpaired"}
    for i, (path, name, text) in enumerate(turns):
        if roles[i] == "system":
            if waiting is not None:
                yield Part(waiting, 1, unpaired)
            system, waiting = (text, path) if text.strip() else ("", None)
            if waiting is None:
                yield Part(path, 1, unpaired)
        elif i in empty:
            yield Part(path, 2, {"schema.empty"})
        elif i in pairs:
            texts = turns[i - 1][2], as_context(told, options), text, ""
            yield Part(path, 2 if waiting is None else 3, None, texts, (system, group, [], [], ""))
            told += turns[i - 1 : i + 1]
            waiting = None
        elif i + 1 not in pairs:
            reasons = SHAPE if name is None else {"schema.role"}
            yield Part(path, 1, reasons if roles[i] is None else unpaired)
    if waiting is not None:
        yield Part(waiting, 1, unpaired)


def whole(turns, roles, pairs, empty, system, group, options):
    """One example for a conversation, from its last pair; or one verdict on all its turns."""
    last = max(pairs, default=None)
    odd = {name for (_, name, _), role in zip(turns, roles, strict=True) if role is None}
    if odd or last is None or last in empty:
        reason = "schema.no_question" if "answers" in roles else "schema.no_answer"
        reason = "schema.role" if odd else "schema.empty" if pairs else reason
        return [Part("", len(turns), {reason} | (SHAPE if None in odd else set()))]
    at = max((i for i in range(last - 1) if roles[i] == "system"), default=None)
    before = [turn for i, turn in enumerate(turns[: last - 1]) if roles[i] != "system"]
    said = [[(name or "").strip(), text] for _, name, text in turns]
    texts = said[last - 1][1], as_context(before, options), said[last][1], ""
    history = [turn for i, turn in enumerate(said[: last - 1]) if i != at]
    beside = system if at is None else turns[at][2], group, history, said[last + 1 :], ""
    return [Part(turns[last][0], len(turns), None, texts, beside)]


def pages(record, options, form):
    """Contexts with questions: a part is a question, or a paragraph that has not the shape."""
    squad, parts, title = form == "squad", [], record.get("title") or ""
    holders = record.get("paragraphs") if squad else [record]
    good = typed(record, "title", "title" if squad else "url", nothing=True)
    if not good or not isinstance(holders, list):
        return [Part("", 1, SHAPE)]
    for number, holder in enumerate(holders):
        place = f"paragraphs[{number}]" if squad else ""
        if not typed(holder, "context") or not isinstance(holder.get("qas"), list):
            parts.append(Part(place, 1, SHAPE))
            continue
        for index, asked in enumerate(holder["qas"]):
            path = f"{place}.qas[{index}]".removeprefix(".")
            parts += question(path, asked, holder["context"], title, options, squad)
    faults = foreign(record)
    return [Part("", sum(part.parts for part in parts), faults | SHAPE)] if faults else parts


def question(path, asked, context, title, options, squad):
    """A question: its first answer, or an example for each different text."""
    told = asked.get if typed(asked, "question") else {"answers": 0, "answer": 0}.get
    answers = told("answers") if squad else told("answer")
    answers = [] if answers is None else answers if squad else [answers]
    impossible, numbers = told("is_impossible") if squad else None, (int, type(None))
    good = isinstance(answers, list) and all(typed(answer, "text") for answer in answers)
    good = good and all(type(answer.get("answer_start")) in numbers for answer in answers)
    if not good or not isinstance(impossible, bool | None):
        return [Part(path, 1, SHAPE)]
    every = options.get("answers") == "all"
    texts = [answer["text"] for answer in (answers if every else answers[:1])]
    faults = {"schema.no_answer"} if not texts or impossible else set()
    if blank(told("question")) or any(map(blank, texts)):
        faults.add("schema.empty")
    if any(text not in context for text in texts) and options.get("not_in_context") != "keep":
        faults.add("qa.answer_not_in_context")
    made = [] if not faults else [Part(path, 1, faults)]
    for text in dict.fromkeys(texts if not faults else ()):
        place = f"{path}.answers[{texts.index(text)}]" if every else path
        example = (told("question"), context, text, ""), ("", title, [], [], "")
        made.append(Part(place, int(not made), None, *example))
    return made


FORMS = {"dolly": plain_row, "alpaca": plain_row, "sharegpt": chat}
FORMS |= {"squad": pages, "korquad2": pages}
SIGNS = "dolly instruction response context,dolly instruction response category,squad paragraphs"
SIGNS += ",alpaca instruction output,alpaca instruction response,korquad2 context qas"
SIGNS += ",korquad2 raw_html qas,sharegpt conversations,sharegpt conversation"


def wanted(value, entry, source):
    """What must become of a record: of the form whose keys it has, where a file has several."""
    if not isinstance(value, dict):
        return [Part("", 1, value)]
    signs = [sign.split() for sign in SIGNS.split(",")]
    fits = [s for s in signs if s[0] in entry["formats"] and value.keys() >= set(s[1:])]
    form = max(fits, key=len)[0] if fits and len(entry["formats"]) > 1 else entry["formats"][0]
    parts, asked = FORMS[form](value, source.get("options", {}), form), source.get("category")
    for number, (*_, texts, _) in enumerate(parts):
        if texts:
            own = {None: texts[3] or "open_qa", "auto": "closed_qa" if texts[1] else "open_qa"}
            parts[number] = parts[number]._replace(texts=(*texts[:3], own.get(asked, asked)))
    return parts


class Check:
    """One build while it is checked. Every claim is a row of `db`."""

    def __init__(self, root):
        self.root, self.violations, self.count, self.notes = root, [], 0, []
        self.manifest = json.loads((root / "manifest.json").read_bytes())
        self.ledger = json.loads((root / "ledger.json").read_bytes())
        log = (root / "build.log.jsonl").read_text("utf-8").splitlines()
        events = [json.loads(line) for line in log]
        self.base = next((event["base"] for event in events if "base" in event), "")
        self.logged = {(e["source"], e["file"]): e for e in events if e["event"] == "input"}
        self.inputs = {(e["source"], e["file"]): e for e in self.manifest["inputs"]}
        self.shards = [o for o in self.manifest["outputs"] if o["file"].startswith("dolly/")]
        self.sources = {source["name"]: source for source in self.manifest["recipe"]["sources"]}
        self.books = {name: Counter() for name in self.sources}
        owners = self.manifest["recipe"], *self.sources.values()
        steps = [step for owner in owners for step in owner.get("steps", ())]
        self.changing = {step["name"] for step in steps} - {"exact_duplicates", "required_text"}
        # Examples that are equal in what a step compares are equal in these of its fields.
        told = [s.get("options", {}) for s in steps if s["name"] == "exact_duplicates"]
        fields = [[key for key in KEYS[:3] if key in o.get("fields", KEYS)] for o in told]
        self.compared = [(keys, o.get("fold")) for keys, o in zip(fields, told, strict=True)]
        self.db = sqlite3.connect("")
        self.db.execute(f"CREATE TABLE claims ({','.join(Claim._fields)})")

    def wrong(self, place, check, found, wanted):
        self.count += 1
        if self.count <= SHOWN:
            told = f"{safe(place)}: {check}: found {safe(found)}, wanted {safe(wanted)}"
            self.violations.append(told)

    def run(self):
        """All checks. A build or input that cannot even be read is a violation."""
        try:
            self.files()
            claims = itertools.chain(self.written(), self.dropped(), self.rejected())
            marks = ",".join("?" for _ in Claim._fields)
            self.db.executemany(f"INSERT INTO claims VALUES ({marks})", filter(None, claims))
            self.db.execute("CREATE INDEX by_place ON claims (file, record)")
            self.db.execute("CREATE INDEX by_id ON claims (id)")
            for key, entry in self.inputs.items():
                if not entry.get("refused"):
                    self.input("/".join(key), entry, self.logged[key], self.sources[key[0]])
            self.keepers()
            self.counts()
        except Exception as error:  # whatever it is, the build is not what it should be
            self.wrong(self.root, "can be checked", f"{type(error).__name__}: {error}", "no fault")

    def files(self):
        """The files and the inputs are those of the manifest, byte for byte."""
        listed = {output["file"]: output for output in self.manifest["outputs"]}
        there = {p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file()}
        for name in sorted(there ^ listed.keys() ^ {"manifest.json", "build.log.jsonl"}):
            self.wrong(name, "there, and in the manifest", name in there, name in listed)
        files = [(name, self.root / name, output) for name, output in listed.items()]
        files += [("/".join(k), Path(self.logged[k]["path"]), e) for k, e in self.inputs.items()]
        for name, path, entry in files:
            found, rows = stated(path), entry.get("rows")
            if found != (entry["bytes"], entry["sha256"]):
                self.wrong(name, "size and digest", found, (entry["bytes"], entry["sha256"]))
            elif rows is not None:
                with open(path, "rb") as file:
                    parquet = name.endswith(".parquet")
                    count = pq.read_metadata(file).num_rows if parquet else sum(1 for _ in file)
                if count != rows:
                    self.wrong(name, "rows", count, rows)
        own = self.manifest["sha256"]
        text = (self.root / "manifest.json").read_bytes().replace(own.encode(), b"")
        bare = hashlib.sha256(re.sub(rb'("(?:[^"\\]|\\.)*")|\s+', rb"\1", text)).hexdigest()
        if bare != own:
            self.wrong("manifest.json", "its own digest", own, bare)
        if odd := sorted(self.logged.keys() ^ self.inputs.keys()):
            self.wrong("manifest.json", "the inputs of the log", odd, "no others")
        refused = {name: told["files_refused"] for name, told in self.ledger["sources"].items()}
        read = {(name, entry["path"]) for (name, _), entry in self.logged.items()}
        for name, source in self.sources.items():
            for path in (os.path.join(self.base, pattern) for pattern in source["files"]):
                for found in map(os.path.normpath, glob.glob(path, recursive=True)):
                    missing = os.path.isfile(found) and (name, found) not in read
                    if missing and not source.get("allow_empty") and not refused[name]:
                        self.wrong(name, "a file of its recipe is an input", found, "read")

    def claim(self, row, kind, **more):
        """A row of the table of claims; None where it cannot be placed."""
        name = f"{row['source']}/{row['file']}"
        head, copy = re.fullmatch("(.*?)(?:~([0-9]+))?", row["id"], re.DOTALL).groups("")
        place = f"{name}#{row['record']}"
        path, copies = head.removeprefix(place).removeprefix("."), int(copy or 0)
        if self.inputs.get((row["source"], row["file"]), {"refused": "unknown"}).get("refused"):
            return self.wrong(row["id"], "an input that was read", name, "another")
        own = kind == "rejected" or (path, copies) == (row["path"] or "", row.get("copy", copies))
        if not own or head != place + f".{path}" * bool(path):
            return self.wrong(row["id"], "an id that says its place", row["path"], place)
        book, reason = self.books[row["source"]], more.get("reason", "")
        book.update({(kind, reason): 1, ("repeated", ""): int(copies > 0)})
        at = ("row_group", "row") if row["byte_start"] is None else ("byte_start", "byte_end")
        return Claim(row["id"], name, row["record"], path, copy, kind, *map(row.get, at), **more)

    def texts(self, row, line):
        """The digests of an example's texts: of all (but where a step changes texts), and of those
        that steps compare."""
        if list(line)[-4:] != KEYS or not typed(line, *KEYS):
            self.wrong(row["id"], "a Dolly record", line, KEYS)
            return {}
        same = [[folded(line[key], fold) for key in keys] for keys, fold in self.compared]
        text = None if self.changing else digest(*map(line.get, KEYS[:3]))
        same = b"".join(digest(*texts) for texts in same)
        return {"text": text, "category": line["category"], "same": same}

    def written(self):
        columns = ["id", "source", "file", "record", "path", "byte_start", "byte_end", "row_group"]
        columns += ["row", "copy", "group", "system", "history", "after", "rejected"]
        for name, split in ((output["file"], output["split"]) for output in self.shards):
            beside = name.replace("dolly/", "lineage/").replace(".jsonl", ".parquet")
            lineage = pq.ParquetFile(self.root / beside)
            there = [name for name in columns if name in lineage.schema_arrow.names]
            rows = (r for b in lineage.iter_batches(4096, columns=there) for r in b.to_pylist())
            with open(self.root / name, "rb") as file:
                for line, row in itertools.zip_longest(file, rows):
                    if not line or not row:
                        self.wrong(name, f"row for row with {beside}", line or row["id"], "both")
                        break
                    more = self.beside(row) | self.texts(row, json.loads(line))
                    yield self.claim(row, "written", split=split, **more)

    def beside(self, row):
        """The digests of what stands beside an example's texts, and of its group."""
        family = digest(row["source"], row["group"] or f"#{row['file']}#{row['record']}")
        try:
            said = [json.loads(row[key] or "[]") for key in ("history", "after")]
        except ValueError:
            self.wrong(row["id"], "JSON in its lineage", row["history"] or row["after"], "messages")
            return {"family": family}
        said = [[[m["role"], m["content"]] for m in messages] for messages in said]
        told = row["system"] or "", row["group"] or "", *said, row["rejected"] or ""
        return {"beside": digest(repr(told)), "family": family}

    def dropped(self):
        with zstd.open(self.root / "dropped.jsonl.zst", "rb") as file:
            for row in map(json.loads, file):
                reason = f"{row['step']}/" * (row["outcome"] == "filtered") + row["reason"]
                more = {"reason": reason, "because": row["because_of"], **self.texts(row, row)}
                yield self.claim(row, row["outcome"], **more)

    def rejected(self):
        with open(self.root / "rejects.jsonl", "rb") as file:
            for row in map(json.loads, file):
                raw = base64.b64decode(row.get("base64", "")) or row.get("text", "").encode()
                more = {name: row.get(name) for name in ("line", "parts", "reason")}
                more["text"] = digest(raw.rstrip(b"\r\n").decode("latin-1")) if raw else None
                yield self.claim(row, "rejected", because=row.get("bytes_with"), **more)

    def input(self, name, entry, logged, source):
        """An input, read again: each of its parts is in exactly one place."""
        rows = self.db.execute("SELECT * FROM claims WHERE file = ? ORDER BY record", (name,))
        groups = itertools.groupby(map(Claim._make, rows), lambda claim: claim.record)
        claims = ((record, list(group)) for record, group in groups)
        count, (place, mine) = 0, next(claims, (None, []))
        with open(logged["path"], "rb") as file:
            found = records(file, logged["member"], entry, source)
            if found is None or not set(entry["formats"]) <= FORMS.keys():
                self.notes.append(f"{name}: not checked: {entry['framing']}, {entry['formats']}")
                return
            self.books[entry["source"]]["files", ""] += 1
            try:
                for count, record in enumerate(found, 1):
                    claimed = mine if place == count - 1 else []
                    self.record(f"{name}#{count - 1}", record, claimed, entry, source)
                    place, mine = next(claims, (None, [])) if claimed else (place, mine)
            except Exception as error:  # whatever a reader raises: the file ends here
                if place == count and [claim.reason for claim in mine] == ["source.truncated_tail"]:
                    tail = Record(WITHOUT_BYTES, None, mine[0].first, mine[0].last, mine[0].line)
                    self.record(mine[0].id, tail, mine, entry, source)
                    place, mine = next(claims, (None, []))
                else:
                    self.wrong(f"{name}#{count}", "readable to its end", error, "no fault")
        while place is not None:
            self.wrong(mine[0].id, "a record of its file", place, f"less than {count}")
            place, mine = next(claims, (None, []))

    def record(self, place, record, claims, entry, source):
        """The claims on one record are those that it must have, of the right bytes."""
        parts = wanted(record.value, entry, source)
        problems = list(self.problems(parts, claims))
        if problems and isinstance(record.value, dict) and record.raw:
            # What another reader may see otherwise: keys that stand twice, bad bytes, deep nesting.
            text = record.raw.decode("utf-8", "surrogateescape")
            strict, deep = TWICE.decode(text), text.count("[") + text.count("{") > 200
            odd = deep or HALF.search(text) or strict != record.value
            others = [wanted(strict, entry, source), [Part("", 1, BROKEN)]][: 2 if odd else 1]
            parts = next((p for p in others if not [*self.problems(p, claims)]), parts)
            problems = list(self.problems(parts, claims))
        for path, *told in problems:
            self.wrong(f"{place} {path}".strip(), *told)
        for claim in claims:
            at, told = (claim.first, claim.last), (record.first, record.last)
            if at != told and not (at[0] == told[0] and 0 <= at[1] - told[1] <= record.slack):
                self.wrong(claim.id, "bytes of its record", at, told)
        rejects = [claim for claim in claims if claim.kind == "rejected"]
        for claim in rejects:
            if claim.line not in (None, record.line) or claim.because not in (None, place):
                found, told = (claim.line, claim.because), (record.line, place)
                self.wrong(claim.id, "line, and whose reject has its bytes", found, told)
        raw = digest((record.raw or b"").rstrip(b"\r\n").decode("latin-1"))
        held = [claim.text for claim in rejects if not claim.because]
        if record.raw and rejects and held != [raw]:
            self.wrong(rejects[0].id, "one reject, with its record's bytes", "others", record.raw)
        made = [part.parts for part in parts if part.texts]
        lost = [part.parts for part in parts if not part.texts]
        kind = "with_examples" if made else "only_rejected" if sum(lost) else "empty"
        counts = {"records": 1, kind: 1, "examples": len(made), "parts": sum(made + lost)}
        counts |= {"parts_used": sum(made), "parts_rejected": sum(lost)}
        self.books[entry["source"]].update({(key, ""): n for key, n in counts.items()})

    def problems(self, parts, claims):
        """What of these parts is in no place, or in several, or claimed to be what it is not."""
        there = {}
        for claim in claims:
            there.setdefault((claim.path, claim.kind == "rejected"), []).append(claim)
        for part in parts:
            mine, kind = there.pop((part.path, not part.texts), []), "an example"
            copies = [claim.copy for claim in mine]
            if not part.texts:
                kind = f"rejected: {sorted(part.reasons)}, {part.parts} parts"
            if copies.count("") != 1 or len(set(copies)) != len(copies):
                yield part.path, "in exactly one place", [claim.kind for claim in mine], kind
            for claim in mine:
                if not part.texts:
                    if claim.parts != part.parts or claim.reason not in part.reasons:
                        yield part.path, "its verdict", (claim.reason, claim.parts), kind
                    continue
                # Filtered examples may still have the category of their record.
                own = claim.kind == "filtered" or claim.category == part.texts[3]
                if claim.text not in (None, digest(*part.texts[:3])) or not own:
                    yield part.path, "texts of its source", f"others ({claim.kind})", part.texts
                if claim.beside not in (None, digest(repr(part.beside))):
                    yield part.path, "what stands beside it", "others", part.beside
        for (path, _), mine in there.items():
            yield path, "a part of its record, once", [claim.kind for claim in mine], "none"

    def keepers(self):
        """A duplicate's keeper is there, or was dropped in turn, and is its equal; and no group is
        in two splits."""
        find = "SELECT kind, same, because FROM claims WHERE id = ? AND kind != 'rejected'"
        dropped = "SELECT id, same, because FROM claims WHERE kind = 'duplicate'"
        for name, same, keeper in self.db.execute(dropped):
            seen, kind = [name], "duplicate"
            while kind == "duplicate":
                found = self.db.execute(find, (keeper,)).fetchone()
                if found is None or keeper in seen:
                    self.wrong(name, "its keeper is there", keeper, "one that is kept in the end")
                    break
                pieces = [slice(at, at + 16) for at in range(0, len(same), 16)]
                if not any(found[1][piece] == same[piece] for piece in pieces):
                    self.wrong(name, "equal to its keeper", keeper, "an equal example")
                seen, kind, keeper = [*seen, keeper], found[0], found[2]
        torn = "SELECT min(id), max(id), min(split), max(split) FROM claims WHERE kind = 'written'"
        for first, last, *splits in self.db.execute(f"{torn} GROUP BY family"):
            if splits[0] != splits[1]:
                self.wrong(first, "one split for its group", splits, f"that of {last}")

    def counts(self):
        """The ledger is a recount, its equations hold, and manifest and card say the same."""
        flats = {name: flat(told) for name, told in self.ledger["sources"].items()}
        partly = {note.partition("/")[0] for note in self.notes}
        claimed = {"written", "rejected", "repeated", "not_sampled", *DROPS}
        for name, told in flats.items():
            book = self.books.get(name, Counter())
            for key in sorted(told.keys() | book.keys()):
                if told[key] != book[key] and (name not in partly or key[0] in claimed):
                    self.wrong(f"ledger.json {name}", " ".join(key).strip(), told[key], book[key])
            for sides in EQUATIONS:
                left, right = (sum(summed(told, k) for k in side.split()) for side in sides)
                if left != right:
                    self.wrong(f"ledger.json {name}", " = ".join(sides), left, right)
        total, splits = sum(flats.values(), Counter()), Counter()
        if total != +flat(self.ledger["total"]):
            self.wrong("ledger.json", "total", flat(self.ledger["total"]), total)
        for output in self.shards:
            splits[output["split"]] += output["rows"]
        if splits != Counter(self.manifest["splits"]):
            self.wrong("manifest.json", "splits", self.manifest["splits"], splits)
        told = Counter({("split", name): rows for name, rows in splits.items()})
        told["examples"] = summed(total, "written")
        for name, flat_one in flats.items():
            told.update({(name, *key): n for key, n in flat_one.items() if key[1]})
        self.card(flats, told)

    def card(self, flats, told):
        """The counts that the card prints, in its tables and in its first sentence."""
        text = (self.root / "README.md").read_text("utf-8")
        first = re.search(r"^(\d+) examples of", text, re.MULTILINE)
        header, found = None, Counter({"examples": int(first[1]) if first else -1})
        for line in text.splitlines():
            cells = [cell.strip(" `") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            row = dict(zip(header or (), cells, strict=False))
            if "split" in row and row["examples"].isdecimal():
                found["split", row["split"]] += int(row["examples"])
            elif "reason" in row and row["count"].isdecimal():
                found[row["source"], row["what"], row["reason"]] += int(row["count"])
            elif "records" in row and row["records"].isdecimal():
                for key in header[2:]:
                    kind = "parts_rejected" if key == "rejected" else key
                    found[row["source"], key] += int(row[key])
                    told[row["source"], key] = summed(flats.get(row["source"], {}), kind)
            header = (header or cells) if cells else None
        for key in sorted(found.keys() | told.keys(), key=str):
            if found[key] != told[key]:
                self.wrong("README.md", str(key), found[key], told[key])


def summed(book, kind):
    return sum(count for key, count in book.items() if key[0] == kind)


def flat(told):
    """A source's counts in the ledger, by kind and reason; plain numbers have no reason."""
    tables = {k: n if isinstance(n, dict) else {"": n} for k, n in told.items()}
    kinds = tables.keys() - {"files_refused", "warnings"}
    return Counter({(kind, reason): n for kind in kinds for reason, n in tables[kind].items()})


def main(arguments):
    """Check the build that is named; returns the exit status."""
    check = Check(Path(arguments[0]))
    check.run()
    rows = [["source", *COUNTED]]
    for name, book in check.books.items():
        rows.append([safe(name), *(str(summed(book, kind)) for kind in COUNTED)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    lines += [f"note: {note}" for note in check.notes] + check.violations
    fine = "every part is in exactly one place"
    lines.append(f"{check.count} violations" if check.count else fine)
    sys.stdout.write("\n".join(lines) + "\n")
    return int(check.count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
