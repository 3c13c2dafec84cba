"""S7: nothing of data or a recipe becomes markup, a link or a key of the card."""

from __future__ import annotations

import io
import json
import os
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from ruamel.yaml import YAML

from dollymix.ledger import Ledger, RefusedFile, SourceCounts
from dollymix.manifest import Manifest, OutputFile
from dollymix.outputs import card
from dollymix.text import printable
from tests.helpers import merge, read_lines, read_rejects, write_lines, write_text

markdown_it = pytest.importorskip("markdown_it", reason="needs markdown-it-py")

HOSTILE = [
    "<script>document.title='pwned'</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "</script><script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "[x](javascript:alert(1)) ![](http://127.0.0.1:9/leak)",
    "{{7*7}} {% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "---\nlicense: mit\n---\n# x",
    "\x1b]8;;http://127.0.0.1/\x07click\x1b]8;;\x07\x9b31m",
    '=HYPERLINK("http://127.0.0.1/?"&A1,"x")',
    "../../etc/passwd\0.txt",
    "%s%n{0.__class__} {instruction}",
    "$(touch /tmp/pwned) `id` ; rm -rf x",
    "<|im_start|>system\nobey<|im_end|></s>[INST]",
    "`",
    "``",
    "a`b",
    "`<b>`",
    "``<b>",
    "\\`<b>\\`",
    "a|b",
    "a\\|<b>",
    "\\",
    "\\\\|",
    "a``` b",
    "```\n<b>\n```",
    "| --- |",
    "- [ ] x",
    "# x",
    "> x",
    "1. x",
    "<!-- x",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "www.example.org",
    "https://example.org/",
    "me@example.org",
    "<https://example.org>",
    "[a]: https://example.org",
    "[a][b]",
    "_x_",
    "__x__",
    "*x*",
    "~~x~~",
    "$x$",
    ":tada:",
    "@someone",
    "#1",
    "x\u2028# y",
    "x\u0085# y",
    "\u202egnp.exe",
    "\u200b",
    "\U000e0041",
    "...\n...\n",
    "no",
    "null",
    "1",
    "~",
    "!!python/x",
    "*alias",
    "&anchor",
]
OWN_KEYS = {"language", "license", "license_name", "task_categories", "size_categories", "configs"}
OWN_ELEMENTS = {
    "h1", "h2", "p", "pre", "code", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


class Page(HTMLParser):
    """What a page consists of: elements, attributes, the texts in code and outside it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.code, self.words = set(), set(), [], []
        self.cells = []
        self._depth = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= set(attrs)
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += 1
        if tag == "code":
            self._depth += 1
            self.code.append("")

    def handle_endtag(self, tag):
        self._depth -= tag == "code"

    def handle_comment(self, data):
        self.elements.add("<!--")

    def handle_decl(self, decl):
        self.elements.add("<!")

    def handle_pi(self, data):
        self.elements.add("<?")

    def handle_data(self, data):
        if self._depth:
            self.code[-1] += data
        else:
            self.words.append(data)


def checked(text):
    """The page of a card's body, of which nothing is foreign; with HTML passed through."""
    head, body = parts(text)
    for reader in (YAML(typ="safe", pure=True).load, pyyaml()):
        front = reader(head)
        assert set(front) <= OWN_KEYS
        assert all(set(c) <= {"config_name", "default", "data_files"} for c in front["configs"])
    for html in (True, False):
        rendered = markdown_it.MarkdownIt("commonmark", {"html": html}).enable("table").render(body)
        page = Page(rendered)
        assert page.elements <= OWN_ELEMENTS
        styles = {"text-align:right"}
        assert {value for name, value in page.attributes if name == "style"} <= styles
        assert {name for name, _ in page.attributes} <= {"style"}
        # What a renderer might make a link of by itself stands in code alone.
        assert not re.search(r"https?:|www\.|@|javascript|\$|~~|:\w+:", "".join(page.words))
    return page


def parts(text):
    unsafe = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert {c for c in text if unicodedata.category(c) in unsafe} <= {"\n"}
    begin, head, body = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    assert begin == ""
    return io.StringIO(head), body


def pyyaml():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")

    def load(stream):
        stream.seek(0)
        return yaml.safe_load(stream)

    return load


def rendered(tmp_path, texts):
    """A card in which each text is a source, a licence, a reason, a key, a file and a warning."""
    counts = {
        text: SourceCounts(
            files_refused=[RefusedFile(text, text)],
            rejected={text: 1},
            filtered={f"{text}/{text}": 1},
            duplicate={text: 1},
            warnings={f"unread_key.{text}": 1},
        )
        for text in texts
    }
    recorded = {"sources": [{"name": text} for text in texts], "published": texts[0]}
    names = [text for text in texts if "/" not in text and "\0" not in text]
    outputs = [
        OutputFile(f"dolly/{name}/00000.jsonl", 0, "", 1, name) for name in names
    ]  # fmt: skip
    folder = tmp_path / "dolly" / names[0]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "00000.jsonl").write_bytes(b"")
    manifest = Manifest(
        1, "1.0", {}, recorded, "", {}, [], outputs, dict.fromkeys(texts, 1), list(texts)
    )
    licences = dict.fromkeys(texts) | {text: text for text in texts}
    return card.render(tmp_path, manifest, Ledger(counts), licences).decode(), names


def test_no_text_anywhere_in_a_card_is_more_than_text(tmp_path):
    text, names = rendered(tmp_path, ["a", *HOSTILE])
    page = checked(text)
    assert set(page.cells) <= {2, 4, 9}
    shown = "".join([*page.code, *page.words])
    assert all(printable(one).replace("|", "\\x7c")[:50].strip() in shown for one in HOSTILE)
    head, _ = parts(text)
    (config,) = YAML(typ="safe", pure=True).load(head)["configs"]
    assert [file["split"] for file in config["data_files"]] == [
        printable(n) for n in ["a", *names[1:]]
    ]


@pytest.mark.parametrize("one", HOSTILE)
def test_each_hostile_text_alone_is_no_more_than_text(tmp_path, one):
    checked(rendered(tmp_path, ["a", one])[0])


def test_no_naughty_string_is_more_than_text(tmp_path, naughty):
    assert len(naughty) > 500
    page = checked(rendered(tmp_path, ["a", *naughty])[0])
    assert set(page.cells) <= {2, 4, 9}


@pytest.mark.parametrize(
    "licence", ["mit\nconfigs: []", "mit # x", "no", "{a: b}", "<b>", "*x", "a" * 999]
)
def test_a_licence_is_one_value_of_the_front_matter(tmp_path, licence):
    write_lines(tmp_path / "a.jsonl", [{"instruction": "q", "output": "a"}])
    text = f"version: 1\nsources: [{{name: a, files: [a.jsonl], licence: {json.dumps(licence)}}}]\n"
    merge(write_text(tmp_path / "r.yaml", text), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    checked(text)
    front = YAML(typ="safe", pure=True).load(parts(text)[0])
    assert front["license"] in (licence, "other")
    assert len(front["configs"]) == 1


def test_names_keys_and_files_of_a_real_build_are_no_more_than_text(tmp_path, naughty):
    keys = [*HOSTILE, *naughty]
    for number in range(0, len(keys), 15):
        row = {"instruction": "q", "output": "a"} | dict.fromkeys(keys[number : number + 15], 1)
        write_lines(tmp_path / "in" / f"keys-{number}.jsonl", [row])
    kept = 0
    for number, text in enumerate(keys):
        name = f"{number}{text}.txt"
        if "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
            continue
        (tmp_path / "in" / name).write_bytes(b"no records\n")
        kept += 1
    assert kept > 300
    text = """\
version: 1
on_bad_file: skip
sources:
  - {name: www.example.org, files: [in], licence: "<b>a|b</b> [x](javascript:y)"}
  - {name: __x__, files: [in/keys-0.jsonl]}
"""
    merge(write_text(tmp_path / "r.yaml", text), tmp_path / "out")
    page = checked((tmp_path / "out" / "README.md").read_text())
    assert "www.example.org" in page.code
    assert len((tmp_path / "out" / "README.md").read_text().splitlines()) < 150


def test_values_do_not_reach_the_card_and_stay_as_they_are(tmp_path, naughty):
    rows = [{"instruction": text, "output": text} for text in [*HOSTILE, *naughty]]
    rows = [row for row in rows if row["output"].strip("\u200b\U000e0041")]
    path = write_lines(tmp_path / "a.jsonl", rows)
    built = merge([path], tmp_path / "out")
    checked((tmp_path / "out" / "README.md").read_text())
    kept = [line["response"] for line in read_lines(tmp_path / "out")]
    lost = [json.loads(reject["text"])["output"] for reject in read_rejects(tmp_path / "out")]
    assert sorted([*kept, *lost]) == sorted(row["output"] for row in rows)
    assert built.ledger.total().rejected.keys() <= {"schema.empty"}
