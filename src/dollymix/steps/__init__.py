"""The steps: each a module that changes, judges or compares examples, found by its file name.

A step module has a docstring and one class `Step`, a frozen struct of its options, all with
defaults. A *row step* is called with an example and answers with an example (the same or a
changed one) or a verdict; it never sees another row. What it adds to `flags` is counted as a
warning. A *check* sees every example that the row steps leave, and changes none: it has

* `measures`: names of counts;
* `measure(example)`: the example's counts, in that order, which are added up for each source;
* `judge(counts)`: what the sums of one source say, as findings.

A *group step* has

* `key(example)`: 16 bytes; examples that are to be compared have equal keys;
* `decide(group)`: for one group of equal keys, in canonical order, the members that go, each as
  `(member, because of which member, reason, message)`. It never sees text.

Where another version of a package would make something else, a step has `versions()`, which names
them: they stand in the manifest, and a build does not go on with others.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from dollymix.errors import UsageError
from dollymix.example import Example
from dollymix.ledger import Outcome, Verdict
from dollymix.modules import import_dotted
from dollymix.text import nearest


class RowStep(Protocol):
    """Judges or changes one example."""

    def __call__(self, example: Example) -> Example | Verdict: ...


class Finding(NamedTuple):
    """What a check says of a source: the code, the words, and how many examples it is true of."""

    code: str
    message: str
    examples: int


class Check(Protocol):
    """Counts something of every example, and judges the sums."""

    measures: tuple[str, ...]

    def measure(self, example: Example) -> tuple[int, ...]:
        """The example's counts, in the order of `measures`."""

    def judge(self, counts: dict[str, int]) -> list[Finding]:
        """What the sums of one source say."""


class Change(NamedTuple):
    """What one row step made of an example; a step that adds a flag alone changes nothing."""

    step: str
    before: Example
    after: Example

    @property
    def characters(self) -> int:
        """How many characters it added to instruction, context and response; below zero: took."""
        return self.after.characters() - self.before.characters()


class Ran(NamedTuple):
    """What row steps made of an example: how they left it, the verdict where one took it out, what
    each changed, and the flags they added."""

    example: Example
    verdict: Verdict | None
    changes: tuple[Change, ...]
    flags: tuple[str, ...]


class Decision(NamedTuple):
    """A member of a group that goes, and the member it lost against."""

    member: int
    because_of: int
    reason: str
    message: str


class GroupStep(Protocol):
    """Compares keys of many examples."""

    outcome: Outcome

    def key(self, example: Example) -> bytes:
        """16 bytes, equal for examples that are to be compared."""

    def decide(self, group: list[int]) -> Iterator[Decision]:
        """The members of a group that go, given in canonical order."""


def names() -> list[str]:
    """The names of the steps there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Any:
    """The module of the step of that name; a dotted name is imported as given.

    Raises UsageError for an unknown name. An import error inside a module is shown as it is.
    """
    if "." in name:
        module = import_dotted(name)
        if not hasattr(module, "Step"):
            raise UsageError(f"step `{name}`: the module has no `Step`")
        return module
    if name not in names():
        near = nearest(name, names())
        hint = f" Did you mean `{near}`?" if near else f" There are: {', '.join(names())}."
        raise UsageError(f"step `{name}`: is not known.{hint}")
    return importlib.import_module(f"{__name__}.{name}")


def versions_of(made: Iterable[Any]) -> dict[str, str]:
    """The versions that what these steps make depends on, by the names of the packages."""
    found: dict[str, str] = {}
    for step in made:
        found |= step.versions() if hasattr(step, "versions") else {}
    return dict(sorted(found.items()))


def name_of(step: RowStep | Check) -> str:
    """The name of a step's module."""
    return type(step).__module__.rpartition(".")[2]


def run(row_steps: tuple[RowStep, ...], example: Example) -> Ran:
    """The example behind the steps, as far as the first that takes it out."""
    made, verdict = example, None
    changes: tuple[Change, ...] = ()
    for step in row_steps:
        judged = step(made)
        if judged is made:
            continue
        if isinstance(judged, Verdict):
            verdict, made = judged, judged.example or made
            break
        if msgspec.structs.replace(judged, flags=made.flags) != made:
            changes = (*changes, Change(name_of(step), made, judged))
        made = judged
    return Ran(made, verdict, changes, made.flags[len(example.flags) :])


def is_check(name: str) -> bool:
    """True for a step that counts and judges the counts."""
    return hasattr(load(name).Step, "measure")


def is_group(name: str) -> bool:
    """True for a step that compares examples."""
    return hasattr(load(name).Step, "decide")
