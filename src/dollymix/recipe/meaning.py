"""What types cannot say of a recipe: names that exist, shares that add up, no secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from dollymix import formats, steps
from dollymix.errors import UsageError
from dollymix.recipe.document import Document, KeyPath, named
from dollymix.recipe.fields import check_struct
from dollymix.recipe.model import Recipe, Source, StepSpec
from dollymix.secret import holds_secret
from dollymix.text import nearest

KEEP_OUT = "looks like a password or token: keep it out, builds record it [config.secret]"

_NAME = re.compile(r"\w[\w.-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_meaning(recipe: Recipe, document: Document) -> None:
    """What types cannot say: names that exist, shares that add up, steps in order."""
    seen: set[str] = set()
    if not recipe.sources and document.holds(("sources",), []):
        document.fault(("sources",), "is empty: name at least one source [config.empty]")
    for index, source in enumerate(recipe.sources):
        path: KeyPath = ("sources", index)
        if source.name and source.name in seen:
            document.fault((*path, "name"), f"{named(source.name)} stands twice [config.value]")
        if document.holds((*path, "name"), source.name) and not _NAME.fullmatch(source.name):
            document.fault(
                (*path, "name"), "may hold letters, digits, `.`, `_` and `-` alone [config.value]"
            )
        mark = source.delimiter
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n'):
            document.fault((*path, "delimiter"), "must be one ASCII character [config.value]")
        if not source.files and document.holds((*path, "files"), []):
            document.fault((*path, "files"), "is empty [config.empty]")
        seen.add(source.name)
        _check_format(source, path, document)
        _check_steps(source.steps, (*path, "steps"), document)
    _check_steps(recipe.steps, ("steps",), document)
    _check_splits(recipe, document)
    for index, output in enumerate(recipe.outputs):
        known = ["dolly", *(n for n in formats.names() if n != "dolly")]
        if output.view not in known:
            _unknown_name(("outputs", index, "view"), output.view, known, document)
    if recipe.max_rejected is not None and not 0 <= recipe.max_rejected <= 1:
        document.fault(("max_rejected",), "must be a share from 0 to 1 [config.value]")


def _unknown_name(path: KeyPath, name: str, known: list[str], document: Document) -> None:
    near = nearest(name, known)
    hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(known)}."
    document.fault(path, f"{named(name)} is not known. {hint} [config.unknown_name]")


def _check_format(source: Source, path: KeyPath, document: Document) -> None:
    if source.format is None:
        known = {f for n in formats.names() for f in formats.load(n).Options.__struct_fields__}
        for key in source.options:
            if key not in known:
                _unknown_name((*path, "options", key), key, sorted(known), document)
        return
    if "." not in source.format and source.format not in formats.names():
        _unknown_name((*path, "format"), source.format, formats.names(), document)
        return
    if not _can_import((*path, "format"), source.format, formats.load, document):
        return
    options = formats.load(source.format).Options
    check_struct(source.options, options, (*path, "options"), document)


def _can_import(
    path: KeyPath, name: str, load_module: Callable[[str], Any], document: Document
) -> bool:
    """Import a module that a dotted name stands for; an error inside it is shown."""
    if "." not in name:
        return True
    try:
        load_module(name)
    except (ImportError, UsageError) as error:
        document.fault(path, f"{named(name)} cannot be imported: {error} [config.import]")
        return False
    return True


def _check_steps(listed: list[StepSpec], path: KeyPath, document: Document) -> None:
    first_group: tuple[int, str] | None = None
    for index, step in enumerate(listed):
        place = (*path, index)
        if not step.name:
            continue
        if "." not in step.name and step.name not in steps.names():
            _unknown_name(place, step.name, steps.names(), document)
            continue
        if not _can_import(place, step.name, steps.load, document):
            continue
        _check_options(step, place, document)
        if steps.is_group(step.name):
            first_group = first_group or (index, step.name)
        elif first_group is not None:
            line = document.lines.get((*path, first_group[0]), 0)
            document.fault(
                place,
                f"{named(step.name)} judges single examples and must stand before "
                f"{named(first_group[1])} (line {line}), which compares them [config.order]",
            )


def _check_options(step: StepSpec, path: KeyPath, document: Document) -> None:
    """Note each option that is wrong by itself, or else what the step says of them together."""
    known = len(document.problems)
    shape = steps.load(step.name).Step
    check_struct(step.options, shape, path, document)
    if len(document.problems) > known:
        return
    try:
        msgspec.convert(step.options, shape)
    except msgspec.ValidationError as error:
        document.fault(path, f"{named(step.name)}: {error} [config.value]")


def _check_splits(recipe: Recipe, document: Document) -> None:
    for name, share in recipe.splits.items():
        if not _NAME.fullmatch(name):
            document.fault(("splits", name), "is no name for a folder [config.value]")
        if not 0 < share <= 1:
            document.fault(("splits", name), "must be more than 0, and 1 at most [config.value]")
    if recipe.splits and abs(sum(recipe.splits.values()) - 1) > 1e-9:
        total = sum(recipe.splits.values())
        document.fault(("splits",), f"must add up to 1, not {total:g} [config.value]")


def check_texts(value: Any, path: KeyPath, document: Document) -> None:
    """Passwords and tokens do not belong into a recipe, which is copied into every build; nor do
    characters that no file can hold."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if holds_secret(key):
                document.fault((*path, key), KEEP_OUT)
            check_texts(inner, (*path, key), document)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            check_texts(inner, (*path, index), document)
    elif isinstance(value, str):
        if holds_secret(value):
            document.fault(path, KEEP_OUT)
        if "\x00" in value or not _can_be_written(value, path):
            document.fault(path, "holds what is no character [config.value]")


def _can_be_written(value: str, path: KeyPath) -> bool:
    """A path may hold bytes that are no characters, as os.fsdecode gives them; other texts none."""
    if not _SURROGATE.search(value):
        return True
    if len(path) < 2 or path[-2] != "files":
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def refuse_secrets(asked: Recipe) -> None:
    """Raise UsageError where a recipe that was made of paths or in Python holds a secret."""
    for text in _texts(msgspec.to_builtins(asked)):
        if holds_secret(text):
            raise UsageError(f"{text}: {KEEP_OUT}")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, those of keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
