"""What must come out of each hostile case.

The cases, their verdicts and the slow reference reader are not part of this repository: they
stand in `shared/badinput` beside it.
"""

import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

BAD_INPUT = Path(__file__).resolve().parents[3] / "shared" / "badinput"
NAMES = ("instruction", "input", "output")

Row = tuple[Any, Any, Any]


class Case(NamedTuple):
    """One hostile file, and what is right for it.

    `rows` are the good records; none where only their number is known. `whole` are the rows of
    a reader that is laxer than the verdict and still right about every record: they are as
    good.
    """

    name: str
    path: Path
    form: str
    adapter: str
    options: dict[str, Any]
    verdict: str
    file_error: str | None
    accepted: int
    rejected: int
    rows: list[Row] | None
    whole: list[Row] | None

    @property
    def group(self) -> str:
        """The first part of its name, such as `gz`."""
        return self.name.partition(".")[0]

    @property
    def for_all(self) -> bool:
        """Whether it needs neither a format nor an option that only Dollymix has."""
        own = {"salvage", "allow_empty"} & self.options.keys()
        return self.adapter == "alpaca" and not own and self.group not in ("schema", "content")


def row(record: dict[str, Any]) -> Row:
    """The three values of an Alpaca record; an absent or null input is empty."""
    return record["instruction"], record.get("input") or "", record["output"]


def load(folder: Path, groups: Collection[str]) -> list[Case]:
    """The cases of some groups."""
    lines = (folder / "expect.jsonl").read_text(encoding="utf-8").splitlines()
    entries = {entry["id"]: entry for entry in map(json.loads, lines)}
    good_rows = _reference(folder)
    laxer = _laxer(lambda name: good_rows(entries[name]) or [])
    cases = []
    for name, entry in entries.items():
        # Before any file is opened: some of the other groups are no files that end.
        if name.partition(".")[0] not in groups:
            continue
        path, rows = folder / entry["path"], good_rows(entry)
        whole = laxer.get(name) or (_every_line(path) if path.suffix == ".jsonl" else None)
        kept = [entry[key] for key in ("format", "adapter", "options", "verdict", "file_error")]
        accepted = entry["accepted"] if rows is None else len(rows)
        rejected = sum(entry["rejected"].values())
        cases.append(Case(name, path, *kept, accepted, rejected, rows, whole))
    return cases


def _reference(folder: Path) -> Callable[[dict[str, Any]], list[Row] | None]:
    """A function that gives the good records of a case, as the reference reader finds them.

    It gives none where there are very many, or where they are no Alpaca records.
    """
    sys.path.insert(0, str(BAD_INPUT))
    import oracle

    kept: list[Row] = []
    accept = oracle.Run.map

    def keep(run: Any, record: Any) -> Any:
        accepted = accept(run, record)
        kept.append(row(record))
        return accepted

    def good_rows(entry: dict[str, Any]) -> list[Row] | None:
        if entry["adapter"] != "alpaca" or entry["group"] != "small":
            return None
        kept.clear()
        verdict, _, _ = oracle.one(str(folder), entry)
        return [] if verdict == "refuse" else list(kept)

    oracle.Run.map = keep
    return good_rows


def _every_line(path: Path) -> list[Row] | None:
    """The rows of plain JSON Lines where the standard library understands every line.

    It takes any number and lone surrogates, and keeps them as they are; null stands for what
    is not there.
    """
    sys.set_int_max_str_digits(0)
    try:
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
        records = [json.loads(line.decode(), object_pairs_hook=_no_repeats) for line in lines]
        rows = [row({"instruction": None, "output": None, **record}) for record in records]
    except (ValueError, TypeError, RecursionError, OSError):
        return None
    return rows if all(isinstance(text, str | None) for found in rows for text in found) else None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; an error where a key that is read stands twice."""
    if any(sum(key == name for key, _ in pairs) > 1 for name in NAMES):
        raise ValueError("repeated key")
    return dict(pairs)


# The numbers of records, the first ones of `gz.ok`.
_FIRST = {
    1: "jsonl.comments jsonl.pretty_printed",
    2: "jsonl.rs_text_sequence jsonl.python_repr json.dict_of_records xz.dict_768m zst.window_2gib",
    3: "jsonl.two_objects_one_line jsonl.cr_only jsonl.trailing_comma_lines jsonl.is_json_array"
    " json.is_jsonl_forced json.array_trailing_comma enc.utf8_bom_twice enc.utf16le_nobom"
    " enc.utf16be_nobom enc.iso2022kr_undeclared",
    20: "zip.name_newline_esc zip.name_nul zip.symlink zip.local_name_differs zip.nested"
    " zip.prepended_junk tar.slip tar.absolute",
    200: "gz.double gz.trailing_garbage",
}
_TWICE = {
    3: "json.two_arrays enc.utf8_bom_midfile",
    20: "zip.slip_dotdot zip.slip_deep_dotdot zip.slip_absolute zip.slip_drive zip.slip_backslash"
    " zip.slip_unc",
}


def _laxer(good_rows: Callable[[str], list[Row]]) -> dict[str, list[Row]]:
    """The whole, right reading of files that Dollymix refuses, or takes a record from, by policy.

    Such as: an array in a file named .jsonl, two objects on a line, UTF-16 without a mark.
    """
    plain, first, cp949 = good_rows("gz.ok"), good_rows("csv.ok")[:1], "enc.cp949_declared"
    columns = good_rows("pq.ok")
    numbers, nulls = (1, 2, 3), ("a", None, "c")
    return {
        **{name: plain[:count] for count, names in _FIRST.items() for name in names.split()},
        **{name: plain[:count] * 2 for count, names in _TWICE.items() for name in names.split()},
        **dict.fromkeys(("csv.semicolon", "csv.sep_line", "csv.cp949"), first),
        **dict.fromkeys(("enc.cp949_undeclared", "enc.cp949_declared_euckr"), good_rows(cp949)),
        "jsonl.nan_infinity": [("q", "", "a")] * 5 + plain[:1],
        "json.top_object_of_columns": [("a", "", "c"), ("b", "", "d")],
        "csv.empty_header": [("a", "", "c")],
        "csv.quote_in_unquoted": [('he said "hi"', "x", "a"), *first],
        "csv.backslash_escapes": [('say "hi"', "", "a"), *first],
        "pq.bad_magic": columns,
        "pq.int_output": [(*columns[n][:2], number) for n, number in enumerate(numbers)],
        "pq.null_cells": [(*columns[n][:2], text) for n, text in enumerate(nulls)],
    }
