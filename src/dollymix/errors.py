"""The exceptions a user can meet.

    DollymixError
    ├── UsageError            the call or the recipe is wrong           exit 2
    │   └── RecipeError       every fault of a recipe at once
    ├── BuildError            nothing was published                     exit 1
    │   ├── InputError        a file that cannot be read
    │   ├── StoppedError      the machine, not the data: the next run goes on from there
    │   └── CheckError        a finished build does not hold
    └── InternalError         a fault of ours                           exit 70

Every message is one line: where, what is wrong, what was expected, what to do. What it repeats of
data, paths and options is safe to print, and holds no password and no token.
"""

from __future__ import annotations

from typing import Any

from dollymix.secret import told


class DollymixError(Exception):
    """The root; each argument is one line. `exit_status` is what the command line ends with."""

    exit_status = 1

    def __init__(self, *lines: str) -> None:
        super().__init__(*map(told, lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class UsageError(DollymixError):
    """The call cannot be understood."""

    exit_status = 2


class RecipeError(UsageError):
    """A recipe with faults, a line for each."""

    @property
    def problems(self) -> list[str]:
        """The lines."""
        return list(self.args)


class BuildError(DollymixError):
    """The build stopped and published nothing."""


class StoppedError(BuildError):
    """The build was stopped by something that is not in its data; what is done is kept."""


class InputError(BuildError):
    """A file that is refused as a whole.

    `reason` is the stable dotted code, `place` the file (with its archive member), `byte` the
    offset in the decompressed file where reading stopped, or None.
    """

    def __init__(self, reason: str, place: str, message: str, byte: int | None = None) -> None:
        at = "" if byte is None else f" at byte {byte}"
        super().__init__(f"{place}{at}: {message} [{reason}]")
        self.reason = reason
        self.place = place
        self.message = message
        self.byte = byte

    def __reduce__(self) -> tuple[Any, ...]:
        return InputError, (self.reason, self.place, self.message, self.byte)


class CheckError(DollymixError):
    """A finished build that does not hold what its manifest says."""


class InternalError(DollymixError):
    """Something that must never happen, such as books that do not balance."""

    exit_status = 70
