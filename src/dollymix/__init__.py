"""Many instruction, chat and question-answering data sets into one clean, traceable set.

    >>> import dollymix
    >>> dollymix.merge("recipe.yaml", "out")          # doctest: +SKIP

Each command of the command line is a function here. `dollymix.formats` and `dollymix.steps` are
the packages of source formats and steps; both have `names()` and `load(name)`.
"""

from typing import TYPE_CHECKING, Any

from dollymix.diff import diff
from dollymix.errors import (
    BuildError,
    CheckError,
    DollymixError,
    InputError,
    InternalError,
    RecipeError,
    UsageError,
)
from dollymix.explain import explain
from dollymix.init import init
from dollymix.inspect import inspect
from dollymix.verify import verify
from dollymix.version import __version__

if TYPE_CHECKING:
    from dollymix.build import merge
    from dollymix.recipe import Recipe

__all__ = [
    "BuildError",
    "CheckError",
    "DollymixError",
    "InputError",
    "InternalError",
    "Recipe",
    "RecipeError",
    "UsageError",
    "__version__",
    "diff",
    "explain",
    "init",
    "inspect",
    "merge",
    "verify",
]


def __getattr__(name: str) -> Any:
    # The build is most of the package: it is imported when it is asked for.
    if name == "merge":
        from dollymix.build import merge

        return merge
    if name == "Recipe":
        from dollymix.recipe import Recipe

        return Recipe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
