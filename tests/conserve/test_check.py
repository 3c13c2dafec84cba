"""The independent checker: it stands alone, passes good builds, and catches planted faults."""

import ast
import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from shutil import copytree

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dollymix
from dollymix import manifest
from dollymix.ledger import Ledger
from dollymix.outputs import card
from tests.conserve import check
from tests.helpers import write_lines
from tests.laws.builds import scratch, write_recipe, zstd
from tests.laws.strategies import UNIT_BYTES, cases, zipped

CHECK = Path(check.__file__)
FINE = "every part is in exactly one place"

# --- it stands alone ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Path:
    """A folder that holds the two libraries the checker may use, and nothing else."""
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "pyarrow").symlink_to(Path(pa.__file__).parent)
    if zstd.__name__.startswith("backports"):
        (folder / "backports").symlink_to(Path(zstd.__file__).parents[1])
    return folder


@pytest.fixture
def run(libraries):
    """Runs the checker on a build, in an interpreter that has nothing else to import."""
    start = (
        "import runpy, sys; sys.path.append(sys.argv.pop(1)); del sys.argv[0];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )

    def checked(build: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", start, str(libraries), str(CHECK), str(build)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return checked


def test_it_imports_nothing_of_the_product():
    found = set()
    for node in ast.walk(ast.parse(CHECK.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module)
    others = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names)
    assert others <= {"pyarrow", "backports", "compression"}
    text = CHECK.read_text(encoding="utf-8")
    assert "dollymix" not in text
    assert "__import__" not in text
    assert "importlib" not in text


def test_the_interpreter_it_runs_in_has_no_product(libraries):
    start = "import sys; sys.path.append(sys.argv[1]); import dollymix"
    command = [sys.executable, "-I", "-S", "-c", start, str(libraries)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "No module named 'dollymix'" in done.stderr


# --- good builds pass -----------------------------------------------------------------------


def turns(*texts, roles=("human", "gpt")):
    """A conversation whose turns take turns."""
    return [{"from": roles[n % len(roles)], "value": text} for n, text in enumerate(texts)]


def article(title, *questions, context="한강은 서울을 지나 서해로 흐른다."):
    """An article of one paragraph; a question is its text and its answers."""
    asked = [
        {
            "id": f"{title}-{n}",
            "question": q,
            "answers": [{"text": a, "answer_start": 0} for a in answers],
        }
        for n, (q, *answers) in enumerate(questions)
    ]
    return {"title": title, "paragraphs": [{"context": context, "qas": asked}]}


ROWS = [{"instruction": f"{n}번 질문", "input": "", "output": f"{n} 답"} for n in range(24)]
TEXT_LINES = [
    *(json.dumps(row, ensure_ascii=False).encode() for row in ROWS),
    json.dumps(ROWS[3]).encode(),
    json.dumps(ROWS[3] | {"input": " "}).encode(),
    b'{"instruction": "a", "output": "b", "output": 7}',
    b'{"instruction": "broken',
    b'{"instruction": "\\ud800", "output": "half"}',
    b'{"instruction": "bad \xff byte", "output": "x"}',
    b'{"instruction": "x", "output": "unread bytes pass", "note": "\xff"}',
    b'{"instruction": "NaN", "output": NaN}',
    b'{"instruction": 7, "output": "x"}',
    b'{"instruction": null, "output": "x"}',
    b'{"output": "x"}',
    b'{"instruction": " ", "output": "x"}',
    b'{"instruction": "x", "output": "one", "response": "other"}',
    b'{"instruction": "x", "output": "y", "images": ["a.png"]}',
    b'{"instruction": "x", "output": "y", "history": [["q"]]}',
    b"[1, 2]",
    b"",
    b" \t",
    b'  {"instruction": "spaces", "output": "and a return"} \r',
]
CHATS = [
    {"id": "QWJhYvA_0", "conversations": turns("하나", "일", "둘", "이")},
    {"id": "QWJhYvA_4", "conversations": turns("셋", "삼")},
    {
        "id": 7,
        "conversations": turns(
            "be kind", "q", "a", "x", "b", roles=("system", "human", "gpt", "gpt", "human")
        ),
    },
    {"conversations": turns("a", "b", "narrated", roles=("human", "gpt", "narrator"))},
    {"conversations": [*turns("q", " ", "q2", "\u200b"), {"from": "human"}, 7, None]},
    {
        "conversations": turns("", "s", "q", "a", roles=("system", "system", "human", "gpt")),
        "system": "first",
    },
    {"conversations": []},
    {"conversations": None},
    {"conversations": turns("q", "a"), "system": ["no text"]},
    {"conversations": turns("q", "a"), "rejected": "said"},
    {"conversation": [{"human": "other", "assistant": "layout"}, {"human": "half"}]},
    {"conversations": turns("하나", "일")},
]
ARTICLES = [
    article("한강", ("어디로 흐르나?", "서해"), ("어디를 지나나?", "서울", "서울을", "서울")),
    article(
        "한강", ("없는 답?", "동해"), ("답이 없나?",), (" ", "서울"), ("어디로 흐르나?", "서해")
    ),
    {"title": "빈 글", "paragraphs": []},
    {
        "title": "x",
        "paragraphs": [{"context": None, "qas": []}, 7, *article("x", ("q", "서"))["paragraphs"]],
    },
    {"title": 7, "paragraphs": []},
    {"title": "y", "paragraphs": article("y", ("q", "서해"))["paragraphs"], "images": ["x"]},
    {
        "title": "z",
        "paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": [{"text": 7}]}, 5]}],
    },
    article("넷", ("바다는?", "서해"), ("강은?", "한강")),
]
PAGES = [
    {"title": "예고범", "context": "<p>감독</p>", "qas": [
        {"id": "1", "question": "누구?", "answer": {"text": "감독", "answer_start": 3}},
        {"id": "2", "question": "누구?", "answer": None},
        {"id": "3", "question": "누구?", "answer": {"text": "없다", "answer_start": 3}},
        "no question",
    ]},
    {"title": "빈 쪽", "context": "", "qas": []},
    {"title": "틀린 쪽", "qas": []},
]  # fmt: skip


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Path:
    """A folder of inputs in many forms, with good and bad records of every kind."""
    folder = tmp_path_factory.mktemp("inputs")
    text = b"\n".join(TEXT_LINES)
    (folder / "rows.jsonl").write_bytes(text)
    (folder / "rows.jsonl.gz").write_bytes(
        gzip.compress(text) + gzip.compress(b"\n" + TEXT_LINES[0])
    )
    (folder / "rows~1.jsonl.zst").write_bytes(zstd.compress(b"\xef\xbb\xbf" + text))
    wide = json.dumps([*ROWS, "no object"], indent=1).encode("utf-16-le")
    (folder / "wide.json").write_bytes(b"\xff\xfe" + wide)
    korean = [json.dumps(row, ensure_ascii=False).encode("cp949") for row in ROWS[:4]]
    korean.insert(2, b'{"instruction": "\xff\xff", "output": "x"}')
    (folder / "cp949.jsonl").write_bytes(b"\n".join(korean))
    dolly = [
        {"instruction": f"d{n}", "context": "c" * n, "response": "r", "category": "qa"}
        for n in range(5)
    ]
    write_lines(
        folder / "dolly.jsonl", [*dolly, {**dolly[1], "input": "x"}, {**dolly[1], "context": 1}]
    )
    (folder / "chats.json").write_text(json.dumps(CHATS, ensure_ascii=False), encoding="utf-8")
    single = [{"conversations": turns("be short", "q", "a", roles=("system", "human", "gpt"))}]
    odd = [record for record in CHATS[3:] if len(record.get("conversations") or ()) != 4]
    (folder / "single.json").write_text(json.dumps(single + odd), encoding="utf-8")
    data = {"version": "1", "data": ARTICLES, "tail": [{"data": []}]}
    (folder / "qa.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    pages = {
        name: json.dumps({"version": name, "data": PAGES}).encode() for name in ("b.json", "a.json")
    }
    (folder / "pages.zip").write_bytes(
        zipped(pages | {"c.json.gz": gzip.compress(pages["a.json"])})
    )
    (folder / "one.json").write_text(json.dumps({"data": PAGES[0]}, indent=1), encoding="utf-8")
    mixed = [ROWS[0], CHATS[0], dolly[4], CHATS[10], {"instruction": "no other key"}]
    write_lines(folder / "mixed.jsonl", mixed)
    (folder / "bad.json").write_text(
        '[{"instruction": "x", "output": "y"}, {"instruction"', encoding="utf-8"
    )
    return folder


def source(name, form, *files, **more):
    """A source of a recipe."""
    return {"name": name, "files": list(files), **({"format": form} if form else {}), **more}


SOURCES = [
    source("rows", "alpaca", "rows.jsonl", "rows.jsonl.gz", "rows~1.jsonl.zst", licence="cc0-1.0"),
    source("wide", "alpaca", "wide.json", category="auto"),
    source("korean", "alpaca", "cp949.jsonl", encoding="cp949"),
    source("dolly", "dolly", "dolly.jsonl"),
    source("chats", "sharegpt", "chats.json", category="chat"),
    source("context", "sharegpt", "chats.json", options={"history": "context", "group": "id"}),
    source(
        "swapped",
        "sharegpt",
        "chats.json",
        options={"roles": {"instruction": ["gpt"], "response": ["human"]}},
    ),
    source("whole", "sharegpt", "single.json", options={"turns": "whole", "group": "record"}),
    source("qa", "squad", "qa.json"),
    source("all", "squad", "qa.json", options={"answers": "all", "not_in_context": "keep"}),
    source("pages", "korquad2", "pages.zip", "one.json"),
    source("mixed", None, "mixed.jsonl"),
    source("bad", "alpaca", "bad.json", "rows.jsonl"),
]
STEPS = [{"required_text": {"fields": ["instruction", "response"]}}, "exact_duplicates"]
RECIPES = {
    "plain": {},
    "steps": {"steps": STEPS},
    "splits": {"splits": {"train": 0.6, "validation": 0.2, "test": 0.2}, "steps": STEPS},
    "shuffled": {"splits": {"train": 0.5, "test": 0.5}, "shuffle": True, "steps": STEPS[1:]},
    "folded": {"steps": [{"exact_duplicates": {"fold": True, "fields": ["response"]}}]},
    "two steps": {"steps": ["exact_duplicates", {"exact_duplicates": {"fields": ["response"]}}]},
    "views": {"outputs": [{"view": view, "format": "jsonl"} for view in ("dolly", "alpaca")]
              + [{"view": "dolly", "format": "parquet"}]},
}  # fmt: skip


def built(folder, inputs, sources, **settings):
    """A build of these sources, in `folder/out`."""
    listed = [{**each, "files": [str(inputs / file) for file in each["files"]]} for each in sources]
    recipe = write_recipe(folder, {"sources": listed, "on_bad_file": "skip", **settings})
    dollymix.merge(recipe, folder / "out", workers=1, unit_bytes=300)
    return folder / "out"


def test_the_bundled_samples_pass(run, examples, tmp_path):
    dollymix.merge(examples / "recipe.yaml", tmp_path / "out", workers=1)
    done = run(tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert FINE in done.stdout
    assert done.stdout.split()[:4] == ["source", "files", "records", "parts"]


@pytest.mark.parametrize("settings", RECIPES.values(), ids=list(RECIPES))
def test_good_builds_pass(run, inputs, tmp_path, settings):
    done = run(built(tmp_path, inputs, SOURCES, **settings))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "not checked" not in done.stdout


@given(cases(), st.sampled_from(UNIT_BYTES))
def test_builds_of_any_recipe_pass(case, unit_bytes):
    with scratch() as folder:
        recipe = case.write(folder)
        settings = {"workers": 1, "unit_bytes": unit_bytes, "allow_empty": True}
        dollymix.merge(recipe, folder / "out", **settings)
        found = check.Check(folder / "out")
        found.run()
    assert found.violations == []
    assert found.notes == []


MENDED = {
    "whole conversations have their history as JSON": (
        {"options": {"turns": "whole"}},
        [{"conversations": turns("a", "b", "c", "d")}],
    ),
    "an empty list hides no turns of the other layout": (
        {},
        [CHATS[1], {"conversations": [], "conversation": [{"human": "q", "assistant": "a"}]}],
    ),
    "a bad turn hides no turns of the other layout": (
        {},
        [
            {
                "conversations": [{"from": "human"}],
                "conversation": [{"human": "q", "assistant": "a"}],
            },
            CHATS[1],
        ],
    ),
    "an empty list with a blank in it says nothing": (
        {},
        [json.dumps(CHATS[1])[:-1] + ', "images": [ ]}'],
    ),
}


@pytest.mark.parametrize(("settings", "records"), MENDED.values(), ids=list(MENDED))
def test_faults_that_the_checker_found_stay_mended(run, tmp_path, settings, records):
    lines = [each if isinstance(each, str) else json.dumps(each) for each in records]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = run(built(tmp_path, tmp_path, [source("s", "sharegpt", "a.jsonl", **settings)]))
    assert done.returncode == 0, done.stdout


# --- its readers ----------------------------------------------------------------------------


def _csv(mark):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, lineterminator="\r\n")
    writer.writerow(["instruction", "output"])
    writer.writerows((row["instruction"], row["output"] + '\n둘째 "줄"') for row in ROWS)
    return text.getvalue().encode()


def _columnar(parquet):
    table = pa.Table.from_pylist([{k: row[k] for k in ("instruction", "output")} for row in ROWS])
    sink = pa.BufferOutputStream()
    if parquet:
        pq.write_table(table, sink, row_group_size=7)
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    return sink.getvalue().to_pybytes()


def _tar(members, kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


LINES = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS)
ARRAY = json.dumps(ROWS, ensure_ascii=False, indent=1)
FRAMED = {
    "a.jsonl": ("jsonl", "", "utf-8", LINES),
    "a.json": ("array", "", "utf-8", b"\xef\xbb\xbf " + ARRAY.encode()),
    "under.json": ("array under `data`", "", "utf-8", f'{{"a": [{{}}], "data": {ARRAY}}}'.encode()),
    "wide.json": ("array", "", "utf-16-be", ("\ufeff" + ARRAY).encode("utf-16-be")),
    "a.csv": ("csv", "", "utf-8", _csv(",")),
    "a.tsv": ("tsv", "", "utf-8", _csv("\t")),
    "a.parquet": ("parquet", "", "utf-8", _columnar(parquet=True)),
    "a.arrow": ("arrow", "", "utf-8", _columnar(parquet=False)),
    "a.bz2": ("jsonl", "", "utf-8", bz2.compress(LINES)),
    "a.xz": ("jsonl", "", "utf-8", lzma.compress(LINES)),
    "a.tar": ("jsonl", "b/m.jsonl", "utf-8", _tar({"b/k.jsonl": LINES, "b/m.jsonl": LINES}, "")),
    "a.tar.gz": ("jsonl", "m.jsonl", "utf-8", _tar({"m.jsonl": LINES, "n": LINES}, "gz")),
    "packed.tar": ("jsonl", "m.zst", "utf-8", _tar({"m.zst": zstd.compress(LINES)}, "xz")),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FRAMED))
def test_its_readers_find_every_record_and_its_bytes(tmp_path, name):
    framing, member, encoding, data = FRAMED[name]
    (tmp_path / name).write_bytes(data)
    entry = {"framing": framing, "encoding": encoding}
    with open(tmp_path / name, "rb") as file:
        found = list(check.records(file, member, entry, {}))
    assert [record.value["instruction"] for record in found] == [row["instruction"] for row in ROWS]
    for record in found if framing.startswith(("array", "csv", "tsv")) else ():
        assert data[record.first : record.last].decode(encoding) == record.raw.decode().rstrip("\r")


def test_a_reader_finds_quotes_and_cells_that_are_wrong(tmp_path):
    rows = [
        b"a,b",
        b'1,"x"',
        b'2,5" disk',
        b'3,"x" y',
        b"4",
        b"",
        b'5,"open',
        b'6,"closed"',
        b"7,8",
    ]
    (tmp_path / "a.csv").write_bytes(b"\n".join(rows))
    with open(tmp_path / "a.csv", "rb") as file:
        found = list(check.records(file, "", {"framing": "csv", "encoding": "utf-8"}, {}))
    good = [{"a": "1", "b": "x"}, *[check.BROKEN] * 4, {"a": "7", "b": "8"}]
    assert [record.value for record in found] == good
    assert found[4].raw == b'5,"open\n6,"closed"'


def test_an_array_that_is_cut_off_is_not_read_to_its_end(tmp_path):
    (tmp_path / "a.json").write_text(ARRAY[:-40], encoding="utf-8")
    found = []
    with open(tmp_path / "a.json", "rb") as file, pytest.raises(ValueError, match=r"byte|line"):
        found.extend(check.records(file, "", {"framing": "array", "encoding": "utf-8"}, {}))
    assert 0 < len(found) < len(ROWS)


@pytest.mark.parametrize("name", [name for name in FRAMED if name != "packed.tar"])
def test_builds_of_every_framing_pass(run, tmp_path, name):
    (tmp_path / name).write_bytes(FRAMED[name][3])
    dollymix.merge([tmp_path / name], tmp_path / "out", workers=1, unit_bytes=300)
    done = run(tmp_path / "out")
    assert done.returncode == 0, done.stdout
    assert "not checked" not in done.stdout


BAD_CELLS = b'x,5" disk\r\nx,"y" z\r\nonly\r\n\r\nx,"open\r\ny,"closed"\r\n'
LONG = b'{"instruction": "long", "output": "' + b"y" * 5000 + b'"}\n'
DAMAGED = {
    "cells.csv": _csv(",") + BAD_CELLS + b"x,y\r\n",
    "open.csv": _csv(",") + b'x,"open\r\nto the end',
    "cut.jsonl.gz": gzip.compress(LINES * 50)[:-60],
    "cut.json": ARRAY[:-50].encode(),
    "broken.json": f"{ARRAY[:-1]}, {{broken}}, {ARRAY[1:]}".encode(),
    "long.jsonl": LINES + LONG + LINES,
}


@pytest.mark.parametrize("name", list(DAMAGED))
def test_builds_of_damaged_files_pass(run, tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    more = {"salvage": True, "limits": {"record_bytes": 4000}}
    done = run(built(tmp_path, tmp_path, [source("s", "alpaca", name, **more)]))
    assert done.returncode == 0, done.stdout
    row = done.stdout.splitlines()[1].split()
    assert int(row[row.index("s") + 5]) == {"cells.csv": 4}.get(name, 1)


# --- planted faults are caught --------------------------------------------------------------


class Forgery:
    """A copy of a good build whose contents are changed, and made to look right again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = msgspec.json.decode((folder / "ledger.json").read_bytes(), type=Ledger)
        self.shards = sorted((folder / "dolly").glob("*/*.jsonl"))
        self.rejects = self._read(folder / "rejects.jsonl")
        self.drops = [
            json.loads(line)
            for line in zstd.decompress((folder / "dropped.jsonl.zst").read_bytes()).splitlines()
        ]
        self.lines, self.lineage = {}, {}
        for shard in self.shards:
            self.lines[shard] = shard.read_bytes().splitlines(keepends=True)
            self.lineage[shard] = pq.read_table(self._beside(shard)).to_pylist()

    def _read(self, path):
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    def _beside(self, shard):
        return Path(str(shard).replace("/dolly/", "/lineage/").replace(".jsonl", ".parquet"))

    def places(self, name=""):
        """The shard and row of every line of a source."""
        return [
            (s, n)
            for s in self.shards
            for n, row in enumerate(self.lineage[s])
            if row["source"].startswith(name)
        ]

    def id_of(self, place):
        shard, row = place
        return self.lineage[shard][row]["id"]

    def rows(self):
        """Every row that says where something came from."""
        return [
            *self.rejects,
            *self.drops,
            *(row for rows in self.lineage.values() for row in rows),
        ]

    def count(self, name, key, change, reason=None):
        """Change one count of a source."""
        books = self.ledger.sources[name]
        if reason is None:
            setattr(books, key, getattr(books, key) + change)
        else:
            table = getattr(books, key)
            table[reason] = table[reason] + change

    def write(self, card_too=True):
        """Write it all, with digests, rows, totals and card as they would be."""
        out = self.folder
        for shard in self.shards:
            shard.write_bytes(b"".join(self.lines[shard]))
            schema = pq.read_schema(self._beside(shard))
            pq.write_table(pa.Table.from_pylist(self.lineage[shard], schema), self._beside(shard))
        for name, rows in (("rejects.jsonl", self.rejects), ("dropped.jsonl.zst", self.drops)):
            data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
            (out / name).write_bytes(zstd.compress(data) if name.endswith("zst") else data)
        (out / "ledger.json").write_bytes(self.ledger.encode())
        built = manifest.read(out)
        for output in built.outputs:
            path = out / output.file
            if output.file.startswith("dolly/"):
                output.rows = len(self.lines[path])
            elif output.file.startswith("lineage/"):
                output.rows = pq.read_metadata(path).num_rows
        lines = [output for output in built.outputs if output.file.startswith("dolly/")]
        built.splits = {
            name: sum(o.rows for o in lines if o.split == name) for name in built.splits
        }
        if card_too:
            views = [output for output in built.outputs if output.split]
            licences = {each["name"]: each.get("licence") for each in built.recipe["sources"]}
            told = msgspec.structs.replace(built, outputs=views)
            (out / "README.md").write_bytes(card.render(out, told, self.ledger, licences))
        for output in built.outputs:
            output.bytes = (out / output.file).stat().st_size
            output.sha256 = manifest.sha256_of(out / output.file)
        (out / "manifest.json").write_bytes(built.encode())


@pytest.fixture(scope="module")
def good(tmp_path_factory, inputs) -> Path:
    """A folder with a good build and its inputs, to be copied and changed."""
    folder = tmp_path_factory.mktemp("good")
    copytree(inputs, folder / "in")
    sources = [s for s in SOURCES if s["name"] in ("rows", "dolly", "chats", "qa")]
    settings = {"splits": {"train": 0.7, "validation": 0.3}, "steps": STEPS}
    built(folder, Path("in"), sources, **settings)
    return folder


@pytest.fixture
def forged(good, tmp_path) -> Forgery:
    """A copy of the good build, to be changed; its inputs are those of the good build."""
    return Forgery(Path(copytree(good / "out", tmp_path / "out")))


def test_a_forgery_without_changes_passes(run, forged):
    forged.write()
    done = run(forged.folder)
    assert done.returncode == 0, done.stdout


def drop_a_line(forged):
    shard, row = place = forged.places("dolly")[1]
    lost = forged.id_of(place)
    del forged.lines[shard][row], forged.lineage[shard][row]
    forged.count("dolly", "written", -1)
    forged.count("dolly", "examples", -1)
    return lost, "in exactly one place: found []"


def repeat_a_line(forged):
    shard, row = place = forged.places("dolly")[1]
    forged.lines[shard].insert(row, forged.lines[shard][row])
    forged.lineage[shard].insert(row, forged.lineage[shard][row])
    forged.count("dolly", "written", 1)
    forged.count("dolly", "examples", 1)
    return forged.id_of(place), "in exactly one place: found ['written', 'written']"


def change_a_byte(forged):
    shard, row = place = forged.places("rows")[3]
    forged.lines[shard][row] = forged.lines[shard][row].replace(b"\xeb\xb2\x88", b"\xeb\xb2\x89")
    return forged.id_of(place), "texts of its source"


def swap_two_origins(forged):
    (shard, a), (other, b) = forged.places("rows")[2], forged.places("rows")[5]
    rows = forged.lineage
    rows[shard][a], rows[other][b] = rows[other][b], rows[shard][a]
    return rows[shard][a]["id"], "texts of its source"


def move_to_another_source(forged):
    row = next(
        r for s, n in forged.places("rows") for r in [forged.lineage[s][n]] if r["record"] == 2
    )
    row |= {"source": "dolly", "file": "dolly.jsonl", "id": "dolly/dolly.jsonl#2"}
    for name, change in (("rows", -1), ("dolly", 1)):
        forged.count(name, "written", change)
        forged.count(name, "examples", change)
    return "dolly/dolly.jsonl#2", "in exactly one place: found ['written', 'written']"


def delete_a_reject(forged):
    lost = next(row for row in forged.rejects if row["reason"] == "schema.role")
    forged.rejects.remove(lost)
    forged.count("chats", "rejected", -1, "schema.role")
    forged.count("chats", "parts_rejected", -1)
    forged.count("chats", "parts", -1)
    return lost["id"], "in exactly one place: found []"


def delete_a_drop(forged):
    lost = next(row for row in forged.drops if row["outcome"] == "duplicate")
    forged.drops.remove(lost)
    forged.count(lost["source"], "duplicate", -1, "duplicate.exact")
    forged.count(lost["source"], "examples", -1)
    return lost["id"], "in exactly one place: found []"


def write_and_drop(forged):
    kept = next(row["because_of"] for row in forged.drops if row["outcome"] == "duplicate")
    twin = next(row for row in forged.drops if row["because_of"] == kept)
    whole = next(row for rows in forged.lineage.values() for row in rows if row["id"] == kept)
    place = {
        key: whole[key]
        for key in ("id", "source", "file", "record", "path", "byte_start", "byte_end")
    }
    forged.drops.append({**twin, **place, "because_of": twin["id"]})
    forged.count(whole["source"], "duplicate", 1, "duplicate.exact")
    forged.count(whole["source"], "examples", 1)
    return kept, "in exactly one place: found ['written', 'duplicate']"


def lose_a_keeper(forged):
    drop = next(row for row in forged.drops if row["outcome"] == "duplicate")
    drop["because_of"] = "rows/rows.jsonl#999"
    return drop["id"], "its keeper is there: found rows/rows.jsonl#999"


def keep_in_a_circle(forged):
    drops = [row for row in forged.drops if row["outcome"] == "duplicate"]
    kept = next(k for k, n in Counter(row["because_of"] for row in drops).items() if n > 1)
    first, second = [row for row in drops if row["because_of"] == kept][:2]
    first["because_of"], second["because_of"] = second["id"], first["id"]
    return first["id"], f"its keeper is there: found {first['id']}"


def miscount(forged):
    forged.count("qa", "parts", 1)
    forged.count("qa", "parts_used", 1)
    return "ledger.json qa", "parts_used: found"


def miscount_on_the_card(forged):
    forged.write()
    path = forged.folder / "README.md"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if line.startswith("| qa |"))
    cells = lines[number].split(" | ")
    cells[5] = str(int(cells[5]) + 1)
    lines[number] = " | ".join(cells)
    path.write_text("".join(lines), encoding="utf-8")
    forged.write(card_too=False)
    return "README.md", "('qa', 'written'): found"


def truncate_a_shard(forged):
    shard = forged.shards[0]
    lost = forged.lineage[shard][-1]["id"]
    del forged.lines[shard][-1]
    return "dolly/train/00000.jsonl", f"found {lost}, wanted both"


def add_a_shard(forged):
    forged.write()
    (forged.folder / "dolly/train/00001.jsonl").write_bytes(forged.lines[forged.shards[0]][0])
    return "dolly/train/00001.jsonl", "there, and in the manifest: found True, wanted False"


def edit_a_source(forged):
    log = forged.folder / "build.log.jsonl"
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    event = next(event for event in events if event.get("source") == "dolly")
    edited = forged.folder.parent / "edited.jsonl"
    edited.write_bytes(Path(event["path"]).read_bytes().replace(b'"d3"', b'"d9"'))
    event["path"] = str(edited)
    log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return "dolly/dolly.jsonl", "size and digest"


def alter_a_reject(forged):
    row = next(row for row in forged.rejects if "base64" in row)
    data = base64.b64decode(row["base64"]).replace(b"bad", b"sad")
    row["base64"] = base64.b64encode(data).decode()
    return row["id"], "one reject, with its record's bytes"


def shift_a_file(forged):
    for row in forged.rows():
        if row["file"] == "qa.json":
            for key in ("id", "bytes_with"):
                if key in row:
                    row[key] = row[key].replace(f"#{row['record']}", f"#{row['record'] + 1}")
            row["record"] += 1
    for row in forged.drops:
        if row.get("because_of") and row["because_of"].startswith("qa/"):
            head, _, tail = row["because_of"].partition("#")
            number, _, path = tail.partition(".")
            row["because_of"] = f"{head}#{int(number) + 1}.{path}"
    return "qa/qa.json#0 paragraphs[0].qas[0]", "in exactly one place: found []"


SEVENTEEN = (
    drop_a_line, repeat_a_line, change_a_byte, swap_two_origins, move_to_another_source,
    delete_a_reject, delete_a_drop, write_and_drop, lose_a_keeper, keep_in_a_circle, miscount,
    miscount_on_the_card, truncate_a_shard, add_a_shard, edit_a_source, alter_a_reject,
    shift_a_file,
)  # fmt: skip


def shift_bytes(forged):
    shard, row = place = forged.places("chats")[0]
    forged.lineage[shard][row]["byte_end"] += 1
    return forged.id_of(place), "bytes of its record"


def keep_another(forged):
    drop = next(row for row in forged.drops if row["outcome"] == "duplicate")
    drop["because_of"] = next(
        i for p in forged.places("qa") for i in [forged.id_of(p)] if i != drop["because_of"]
    )
    return drop["id"], "equal to its keeper"


def tear_a_group(forged):
    train, other = forged.shards
    rows = forged.lineage[train]
    row = next(
        n
        for n, r in enumerate(rows)
        if r["group"] and sum(r["group"] == o["group"] for o in rows) > 1
    )
    moved = rows.pop(row)
    forged.lineage[other].append(moved)
    forged.lines[other].append(forged.lines[train].pop(row))
    return moved["source"] + "/", "one split for its group"


def forget_parts_of_a_verdict(forged):
    row = next(row for row in forged.rejects if row["parts"] == 2)
    row["parts"] = 1
    forged.count(row["source"], "parts_rejected", -1)
    forged.count(row["source"], "parts", -1)
    return row["id"], "its verdict"


def change_the_manifest(forged):
    forged.write()
    path = forged.folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"named in the recipe"', b'"guessed"', 1))
    return "manifest.json", "its own digest"


def forget_a_file(forged):
    forged.write()
    told = manifest.read(forged.folder)
    told.recipe["sources"][1]["files"].append("in/cp949.json?")
    (forged.folder / "manifest.json").write_bytes(told.encode())
    return "dolly", "a file of its recipe is an input"


def lose_a_system_turn(forged):
    place = next(p for p in forged.places("chats") if forged.lineage[p[0]][p[1]]["system"])
    forged.lineage[place[0]][place[1]]["system"] = None
    return forged.id_of(place), "what stands beside it"


def change_a_category(forged):
    shard, row = place = forged.places("chats")[0]
    forged.lines[shard][row] = forged.lines[shard][row].replace(b'"chat"}', b'"open_qa"}')
    return forged.id_of(place), "texts of its source"


OTHERS = (
    shift_bytes, keep_another, tear_a_group, forget_parts_of_a_verdict, change_the_manifest,
    forget_a_file, lose_a_system_turn, change_a_category,
)  # fmt: skip
WRITTEN_ALREADY = (miscount_on_the_card, add_a_shard, change_the_manifest, forget_a_file)


@pytest.mark.parametrize("fault", SEVENTEEN + OTHERS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught_and_named(run, forged, fault):
    place, told = fault(forged)
    if fault not in WRITTEN_ALREADY:
        forged.write()
    done = run(forged.folder)
    assert done.returncode == 1, done.stdout
    lines = [line for line in done.stdout.splitlines() if _begins_with(line, place)]
    assert any(told in line for line in lines), done.stdout


def _begins_with(line, place):
    """A violation says `source/file#3 path`, an id `source/file#3.path`."""
    head, _, tail = place.partition("#")
    record, _, path = tail.partition(".")
    return line.startswith((place, f"{head}#{record} {path}:"))


def test_there_are_seventeen():
    assert len(set(SEVENTEEN)) == 17
