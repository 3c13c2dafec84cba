"""The steps: each a module that changes, judges or compares examples, found by its file name.

A step module has a docstring and one class `Step`, a frozen struct of its options, all with
defaults. A *row step* is called with an example and answers with an example (the same or a
changed one) or a verdict; it never sees another row. A *group step* has

* `key(example)`: 16 bytes; examples that are to be compared have equal keys;
* `decide(group)`: for one group of equal keys, in canonical order, the members that go, each as
  `(member, because of which member, reason, message)`. It never sees text.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from dollymix.errors import UsageError
from dollymix.example import Example
from dollymix.ledger import Outcome, Verdict
from dollymix.modules import import_dotted
from dollymix.text import nearest


class RowStep(Protocol):
    """Judges or changes one example."""

    def __call__(self, example: Example) -> Example | Verdict: ...


class Decision(NamedTuple):
    """A member of a group that goes, and the member it lost against."""

    member: int
    because_of: int
    reason: str
    message: str


class GroupStep(Protocol):
    """Compares keys of many examples."""

    outcome: Outcome

    def key(self, example: Example) -> bytes: ...

    def decide(self, group: list[int]) -> Iterator[Decision]: ...


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


def is_group(name: str) -> bool:
    """True for a step that compares examples."""
    return hasattr(load(name).Step, "decide")
