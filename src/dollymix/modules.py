"""A user's own modules, by the dotted names of a recipe. They run with the user's rights, as the
recipe that names them does; no data can name one."""

from __future__ import annotations

import importlib
from typing import Any

from dollymix.errors import UsageError


def import_dotted(name: str) -> Any:
    """The module of that name.

    Raises UsageError where there is none; an import error inside it is shown as it is.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"`{name}` is no name of a module")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"`{name}`: there is no module {error.name}") from error
        raise
