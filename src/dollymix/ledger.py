"""Verdicts and the counts of them: what became of every record, part and example.

The laws (conservation), per source:

    records  = with_examples + only_rejected + empty
    parts    = parts_used + parts_rejected
    examples + repeated = written + filtered + duplicate + contaminated + not_sampled
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dollymix.errors import InternalError
from dollymix.example import Example, Origin

Outcome = Literal["rejected", "filtered", "duplicate", "contaminated", "not_sampled"]


class Verdict(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of a part or example that does not travel on.

    `path` is where in the record the fault is, which may be deeper than the part's own place;
    `parts` is how many parts it covers; `because_of` the id it lost against, `score` how near.
    """

    origin: Origin
    outcome: Outcome
    step: str
    reason: str
    message: str
    path: str = ""
    parts: int = 1
    because_of: str | None = None
    score: float | None = None
    example: Example | None = None


def reject(
    origin: Origin, part: str, reason: str, message: str, *, path: str = "", parts: int = 1
) -> Verdict:
    """A verdict on a part of the origin's record (empty: all of it) that was not understood."""
    return Verdict(
        origin=Origin(origin.source, origin.file, origin.record, part),
        outcome="rejected",
        step="parse",
        reason=reason,
        message=message,
        path=path or part,
        parts=parts,
    )


def filtered(example: Example, step: str, reason: str, message: str) -> Verdict:
    """A step's verdict on an example that it takes out."""
    return Verdict(
        origin=example.origin,
        outcome="filtered",
        step=step,
        reason=reason,
        message=message,
        example=example,
    )


def part_fault(parts: int, used: int, rejected: int, paths: list[str]) -> str | None:
    """Why the parts of a record are not in exactly one place each; None where they are.

    `paths`: those of its examples and of its verdicts.
    """
    if parts != used + rejected:
        return f"has {parts} parts, of which {used} are used and {rejected} are rejected"
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        return f"has its part `{twice}` in two places"
    return None


class RefusedFile(msgspec.Struct):
    """A file that was left out as a whole; `byte` is where reading stopped."""

    file: str
    reason: str
    byte: int | None = None


class SourceCounts(msgspec.Struct):
    """The books of one source; `+=` by `add`. Counts of zero are kept.

    `changed`: examples that a row step changed, by its name; `changed_characters`: how many
    characters it added (below zero: took away). `measures`: the sums of checks, `STEP/MEASURE`.
    """

    files: int = 0
    files_refused: list[RefusedFile] = []
    records: int = 0
    with_examples: int = 0
    only_rejected: int = 0
    empty: int = 0
    parts: int = 0
    parts_used: int = 0
    parts_rejected: int = 0
    examples: int = 0
    repeated: int = 0
    written: int = 0
    rejected: dict[str, int] = {}
    filtered: dict[str, int] = {}
    duplicate: dict[str, int] = {}
    contaminated: dict[str, int] = {}
    not_sampled: int = 0
    warnings: dict[str, int] = {}
    changed: dict[str, int] = {}
    changed_characters: dict[str, int] = {}
    measures: dict[str, int] = {}

    def add(self, other: SourceCounts) -> None:
        """Add another source's (or unit's) counts to these."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key, count in theirs.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                setattr(self, name, mine + theirs)

    def dropped(self, outcome: Outcome, step: str, reason: str) -> None:
        """Count one verdict on an example that had been made."""
        if outcome == "not_sampled":
            self.not_sampled += 1
            return
        table: dict[str, int] = getattr(self, outcome)
        key = f"{step}/{reason}" if outcome == "filtered" else reason
        table[key] = table.get(key, 0) + 1

    def rejected_verdict(self, verdict: Verdict) -> None:
        """Count one verdict on input that could not be understood."""
        self.rejected[verdict.reason] = self.rejected.get(verdict.reason, 0) + 1
        self.parts_rejected += verdict.parts

    def warn(self, code: str, count: int = 1) -> None:
        """Count a warning."""
        self.warnings[code] = self.warnings.get(code, 0) + count

    def change(self, step: str, added: int) -> None:
        """Count an example that a step changed, and the characters that it added."""
        self.changed[step] = self.changed.get(step, 0) + 1
        self.changed_characters[step] = self.changed_characters.get(step, 0) + added

    def imbalances(self) -> list[str]:
        """The equations that do not hold, each as one line; empty when the books balance."""
        lost = (
            self.written
            + sum(self.filtered.values())
            + sum(self.duplicate.values())
            + sum(self.contaminated.values())
            + self.not_sampled
        )
        equations = {
            "records = with_examples + only_rejected + empty": (
                self.records,
                self.with_examples + self.only_rejected + self.empty,
            ),
            "parts = parts_used + parts_rejected": (
                self.parts,
                self.parts_used + self.parts_rejected,
            ),
            "examples + repeated = written + dropped": (self.examples + self.repeated, lost),
        }
        return [f"{law}: {a} is not {b}" for law, (a, b) in equations.items() if a != b]


class Ledger(msgspec.Struct):
    """The books of a build, by source in recipe order."""

    schema: int = 1
    sources: dict[str, SourceCounts] = {}

    def total(self) -> SourceCounts:
        """All sources added up. Refused files are listed under their source's name."""
        total = SourceCounts()
        for name, counts in self.sources.items():
            total.add(counts)
            start = len(total.files_refused) - len(counts.files_refused)
            total.files_refused[start:] = [
                RefusedFile(f"{name}/{refused.file}", refused.reason, refused.byte)
                for refused in counts.files_refused
            ]
        return total

    def check(self) -> None:
        """Raise InternalError where the books of a source do not balance."""
        wrong = [f"{name}: {line}" for name, c in self.sources.items() for line in c.imbalances()]
        if wrong:
            raise InternalError(
                "the books do not balance; nothing is published: " + "; ".join(wrong)
            )

    def encode(self) -> bytes:
        """The bytes of `ledger.json`."""
        body = {"schema": self.schema, "sources": self.sources, "total": self.total()}
        for counts in (*self.sources.values(), body["total"]):
            assert isinstance(counts, SourceCounts)
            for name in counts.__struct_fields__:
                value = getattr(counts, name)
                if isinstance(value, dict):
                    setattr(counts, name, dict(sorted(value.items())))
        return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"
