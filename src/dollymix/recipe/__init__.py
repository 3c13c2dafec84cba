"""What is to be built: a YAML file, checked as a whole, all faults at once.

model     what a recipe says
document  the YAML text, value by value, with the line of each
fields    each value against its type
meaning   what types cannot say
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dollymix.errors import RecipeError, UsageError
from dollymix.recipe.document import Document, named
from dollymix.recipe.fields import check_struct, what_fits
from dollymix.recipe.meaning import KEEP_OUT, check_meaning, check_texts, refuse_secrets
from dollymix.recipe.model import Output, Recipe, Source, StepSpec, from_paths, source_name
from dollymix.secret import holds_secret

__all__ = [
    "Output",
    "Recipe",
    "Source",
    "StepSpec",
    "from_paths",
    "load",
    "parse",
    "refuse_secrets",
    "source_name",
]


def load(path: Path, overrides: dict[str, str] | None = None) -> Recipe:
    """The recipe in a file, with overrides such as `seed: "3"` or `sources.kovicuna.category`.

    Raises RecipeError with every fault, each with its line; UsageError where there is no file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such recipe") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: {error.reason} at byte {error.start} [config.syntax]"
        raise RecipeError(f"{path}: {message}") from error
    return parse(text, str(path), overrides)


def parse(text: str, place: str = "recipe", overrides: dict[str, str] | None = None) -> Recipe:
    """The recipe in a text; `place` names it in messages."""
    document = Document(text, place)
    data = document.read()
    for key, value in (overrides or {}).items():
        if holds_secret(key) or holds_secret(value):
            raise UsageError(f"--set {key}: {KEEP_OUT}")
        _override(data, key, Document(value, f"--set {key}").read())
    return _check(data, document)


def _override(data: Any, key: str, value: Any) -> None:
    """Set one value; a list's item is named by its number, a source by its name."""
    parts = key.split(".")
    for part in parts[:-1]:
        if isinstance(data, list):
            by_name = {str(item.get("name")): item for item in data if isinstance(item, dict)}
            index = int(part) if part.isdigit() else -1
            if part not in by_name and not 0 <= index < len(data):
                raise UsageError(f"--set {key}: there is no {named(part)}")
            data = by_name[part] if part in by_name else data[index]
        elif isinstance(data, dict):
            data = data.setdefault(part, {})
        if not isinstance(data, (dict, list)):
            raise UsageError(f"--set {key}: {named(part)} holds no values")
    if not isinstance(data, dict):
        raise UsageError(f"--set {key}: name a key, not an item of a list")
    data[parts[-1]] = value


def _check(data: Any, document: Document) -> Recipe:
    if not isinstance(data, dict):
        document.fault((), "is no mapping: expected `version`, `sources`, ... [config.type]")
        document.raise_faults()
    _normalise_steps(data)
    for source in data.get("sources") or () if isinstance(data.get("sources"), list) else ():
        if isinstance(source, dict):
            _normalise_steps(source)
    check_struct(data, Recipe, (), document)
    check_texts(data, (), document)
    # Meaning is checked on what has the right type, so that all faults come at once.
    check_meaning(what_fits(data, Recipe), document)
    document.raise_faults()
    return msgspec.convert(data, Recipe)


def _normalise_steps(holder: dict[str, Any]) -> None:
    """`[name, {name: options}]` as a list of names with options; other shapes stay as they are."""
    listed = holder.get("steps")
    if not isinstance(listed, list):
        return
    normal: list[Any] = []
    for item in listed:
        if isinstance(item, str):
            normal.append({"name": item})
        elif isinstance(item, dict) and len(item) == 1 and "name" not in item:
            (name, options), *_ = item.items()
            normal.append({"name": name, "options": {} if options is None else options})
        else:
            normal.append(item)
    holder["steps"] = normal
