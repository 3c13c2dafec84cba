"""Where the same function is run over many tasks. The seam is one method; results come in order.

An engine decides nothing: which tasks there are is the plan's matter, so the output bytes never
depend on the engine, on how many workers it has, or on which of them ran a task.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol


class Engine(Protocol):
    """Runs a picklable function over tasks."""

    def map(
        self, function: Callable[[Any], Any], tasks: Iterable[Any]
    ) -> Generator[Any, None, None]:
        """The results in the order of the tasks. A result is valid until the next is asked for;
        closing the generator ends the work."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...
