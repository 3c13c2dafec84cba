"""The data set card, `README.md`: front matter that the Hugging Face Hub reads, and the counts.

What comes from data or a recipe (names of sources, files, keys and licences, reasons) stands in the
Markdown as bare words or in code spans, which no renderer reads for markup or links, and in the
front matter between quotes.

Format: https://huggingface.co/docs/hub/datasets-cards
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from dollymix.example import Dolly
from dollymix.ledger import Ledger, SourceCounts
from dollymix.manifest import Manifest, OutputFile
from dollymix.text import languages, printable, shortened

_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
)  # fmt: skip
_SWAPPED = (
    "Roles are the wrong way round in some sources, as the recipe asks: there a model learns to "
    "answer as the person. See `chat.roles_swapped` below."
)

# Of names and keys so many characters are shown, of a warning, which may hold some of them, so many;
# of their lists so many entries; of each text so many are read for its language.
_SHOWN, _TOLD, _LISTED, _READ = 100, 1000, 20, 2000
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
# Words, with `-`, `_` or a blank between them: nothing that Markdown or a linkifier acts on.
_WORDS = re.compile(r"[^\W_]+(?:[-_ ][^\W_]+)*")
_SENTENCE = re.compile(r"(?:[^\W_]|[ ]|`[\w-]+`)+")

_TEMPLATE = """\
---
{% if languages %}language:
{% for code in languages %}- {{ code }}
{% endfor %}{% endif -%}
license: {{ licence | yaml }}
{% if licence == "other" %}license_name: see-sources
{% endif -%}
task_categories:
- text-generation
- question-answering
size_categories:
- {{ size }}
configs:
{% for config in configs -%}
- config_name: {{ config.name }}
{% if config.default %}  default: true
{% endif %}  data_files:
{% for split, path in config.files %}  - split: {{ split | yaml }}
    path: {{ path | yaml }}
{% endfor %}{% endfor -%}
---

# {{ title }}

{{ total.written }} examples of `instruction`, `context`, `response`, `category`, merged by
Dollymix {{ manifest.dollymix }}{% if published %} ({{ published | inline }}){% endif %}.

    from datasets import load_dataset
    load_dataset("PATH OF THIS FOLDER")

| split | examples |
| --- | ---: |
{% for name, rows in manifest.splits.items() %}| {{ name | inline }} | {{ rows }} |
{% endfor %}
## Sources

| source | licence | records | parts | examples | written | rejected | filtered | duplicate |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{% for name, c in sources %}| {{ name | inline }} | {{ licences[name] | inline }} | {{ c.records }} | {{ c.parts }} | \
{{ c.examples }} | {{ c.written }} | {{ c.parts_rejected }} | {{ c.filtered.values() | sum }} | \
{{ c.duplicate.values() | sum }} |
{% endfor %}
A part is what is counted inside a record: a turn of a conversation, a question of a page, else
the record itself. `rejected` counts parts. `ledger.json` has every count, by reason.
{% if reasons %}
## Left out, and why

| source | what | reason | count |
| --- | --- | --- | ---: |
{% for source, what, reason, count in reasons %}| {{ source | inline }} | {{ what }} | {{ reason | code }} | {{ count }} |
{% endfor %}{% endif %}{% if changes %}
## Changed by steps

| source | step | examples | characters added |
| --- | --- | ---: | ---: |
{% for source, step, count, characters in changes %}| {{ source | inline }} | {{ step | inline }} | {{ count }} | {{ characters }} |
{% endfor %}{% endif %}{% if warnings %}
## Warnings

{% for line in warnings %}- {{ line }}
{% endfor %}{% endif %}
## Where things are

- `dolly/SPLIT/*.jsonl`: the set. `lineage/SPLIT/*.parquet`: for each line, where it came from.
- `rejects.jsonl`: what could not be understood, with its text. `dropped.jsonl.zst`: what was
  understood and left out, with the reason and the example.
- `manifest.json`: inputs, outputs, digests, versions and the recipe. `ledger.json`: the counts.
"""


def render(out: Path, manifest: Manifest, ledger: Ledger, licences: dict[str, str | None]) -> bytes:
    """The bytes of the card of the build in `out`."""
    import jinja2

    total = ledger.total()
    known = sorted({licence for licence in licences.values() if licence})
    one_licence = len(known) == 1 and all(licences.values())
    # The card is Markdown: HTML's escapes would be read as text inside its code spans.
    environment = jinja2.Environment(autoescape=False, keep_trailing_newline=True)  # noqa: S701
    environment.filters.update(yaml=_yaml, inline=_inline, code=_code)
    text = environment.from_string(_TEMPLATE).render(
        title=_title(manifest),
        languages=languages(_sample(out, manifest.outputs)),
        licence=known[0] if one_licence and _LICENCE.fullmatch(known[0]) else "other",
        size=next((name for limit, name in _SIZES if total.written < limit), "n>1T"),
        configs=_configs(manifest.outputs),
        manifest=manifest,
        published=manifest.recipe.get("published"),
        total=total,
        sources=list(ledger.sources.items()),
        licences={name: value or "not stated" for name, value in licences.items()},
        reasons=_reasons(ledger),
        changes=_changes(ledger),
        warnings=_warnings(manifest, ledger),
    )
    return text.encode()


def _title(manifest: Manifest) -> str:
    return " + ".join(_inline(source["name"]) for source in manifest.recipe["sources"])


def _yaml(text: str) -> str:
    """A text for the front matter: JSON's strings are YAML's, and `no` stays a word in quotes."""
    return json.dumps(printable(text), ensure_ascii=False)


def _inline(text: str) -> str:
    """Bare words as they are, anything else as code."""
    return text if _WORDS.fullmatch(text) and len(text) <= _SHOWN else _code(text)


def _code(text: str, limit: int = _SHOWN) -> str:
    """A code span that shows the text as it is, in a table's cell too."""
    shown = printable(shortened(text, limit)).replace("|", "\\x7c") or " "
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    blank = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def _sample(out: Path, outputs: list[OutputFile]) -> list[str]:
    """The beginnings of the texts of the first thousand lines."""
    for output in outputs:
        if output.file.startswith("dolly/"):
            with open(out / output.file, "rb") as file:
                decode = msgspec.json.Decoder(Dolly).decode
                lines = map(decode, islice(file, 1000))
                return [line.instruction[:_READ] + line.response[:_READ] for line in lines]
    return []


def _configs(outputs: list[OutputFile]) -> list[dict[str, object]]:
    """One config for each view, its splits in order; the Dolly view is the default.

    `datasets` reads all configs of a folder as one kind of file: Parquet where there is any.
    """
    views: dict[str, dict[str, str]] = {}
    kind = ".parquet" if any(o.file.startswith("dolly-parquet/") for o in outputs) else ".jsonl"
    for output in outputs:
        view, split, name = output.file.split("/")
        if view != "lineage" and name.endswith(kind):
            pattern = f"{view}/{split}/*.{name.rpartition('.')[2]}"
            views.setdefault(view, {})[split] = pattern
    return [
        {"name": view, "default": number == 0, "files": list(files.items())}
        for number, (view, files) in enumerate(views.items())
    ]


def _reasons(ledger: Ledger) -> list[tuple[str, str, str, int]]:
    found: list[tuple[str, str, str, int]] = []
    for source, counts in ledger.sources.items():
        for what in ("rejected", "filtered", "duplicate", "contaminated"):
            table: dict[str, int] = getattr(counts, what)
            found += [(source, what, reason, n) for reason, n in sorted(table.items())]
        if counts.not_sampled:
            found.append((source, "not sampled", "not_sampled", counts.not_sampled))
    return found


def _changes(ledger: Ledger) -> list[tuple[str, str, int, int]]:
    return [
        (source, step, count, counts.changed_characters[step])
        for source, counts in ledger.sources.items()
        for step, count in sorted(counts.changed.items())
    ]


def _warnings(manifest: Manifest, ledger: Ledger) -> list[str]:
    lines = [
        line if _SENTENCE.fullmatch(line) else _code(line, _TOLD) for line in manifest.warnings
    ]
    if any(c.warnings.get("chat.roles_swapped") for c in ledger.sources.values()):
        lines.append(_SWAPPED)
    for name, counts in ledger.sources.items():
        lines += _listed(name, list(_counted(counts)))
    return lines


def _listed(name: str, told: list[str]) -> list[str]:
    """What is told of a source; of a long list the beginning, since keys may be without number."""
    left = len(told) - _LISTED
    more = [f"{left} more warnings are in `ledger.json`"] if left > 0 else []
    return [f"{_inline(name)}: {line}" for line in (*told[:_LISTED], *more)]


def _counted(counts: SourceCounts) -> Iterator[str]:
    for refused in counts.files_refused:
        yield f"{_code(refused.file)} was left out ({_code(refused.reason)})"
    for code, count in sorted(counts.warnings.items()):
        yield f"{_code(code)} {count} times"
