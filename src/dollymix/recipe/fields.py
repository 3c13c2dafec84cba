"""Values against the types of a struct's fields, every fault noted."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dollymix.recipe.document import Document, KeyPath
from dollymix.text import nearest


def check_struct(data: Any, shape: type[msgspec.Struct], path: KeyPath, document: Document) -> None:
    """Note every key that is unknown, missing or of the wrong type."""
    if not isinstance(data, dict):
        document.fault(path, f"is {_kind(data)}, not a mapping [config.type]")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for key in data:
        if key not in fields:
            near = nearest(key, list(fields))
            hint = f"Did you mean `{near}`?" if near else _known(fields)
            document.fault((*path, key), f"is not known. {hint} [config.unknown_key]")
    for name, field in fields.items():
        if name not in data:
            if field.required:
                document.fault(path, f"has no `{name}`: it is required [config.missing_key]")
            continue
        _check_value(data[name], field.type, (*path, name), document)


def _check_value(value: Any, annotation: Any, path: KeyPath, document: Document) -> None:
    inner = struct_of_list(annotation)
    if inner is not None and isinstance(value, list):
        for index, item in enumerate(value):
            check_struct(item, inner, (*path, index), document)
        return
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        inside = where.strip("`").removeprefix("$")
        inside = f"{inside} " if inside else ""
        document.fault(path, f"{inside}is wrong: {_words(what, annotation)} [config.type]")


def _known(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"Known are: {listed}." if listed else "It has no options."


def _words(what: str, annotation: Any) -> str:
    """What the decoder says, and what may stand there."""
    hint = ""
    if what.startswith("Invalid enum value"):
        values = [value for inner in _parts_of(annotation) for value in _values(inner)]
        hint = f". There are: {', '.join(map(str, values))}." if values else ""
    if what.startswith("Object contains unknown field"):
        names = [
            name
            for inner in _parts_of(annotation)
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct)
            for name in inner.__struct_fields__
        ]
        hint = f". {_known(names)}" if names else ""
    return what[:1].lower() + what[1:] + hint


def _parts_of(annotation: Any) -> Iterator[Any]:
    """A type and all types in it."""
    yield annotation
    if typing.get_origin(annotation) is not typing.Literal:
        for inner in typing.get_args(annotation):
            yield from _parts_of(inner)


def _values(annotation: Any) -> tuple[Any, ...]:
    is_choice = typing.get_origin(annotation) is typing.Literal
    return typing.get_args(annotation) if is_choice else ()


def struct_of_list(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct that a list of structs holds; None for any other type."""
    if typing.get_origin(annotation) is not list:
        return None
    (inner,) = typing.get_args(annotation)
    is_struct = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
    return inner if is_struct else None


def _kind(value: Any) -> str:
    names: dict[type, str] = {
        dict: "a mapping", list: "a list", str: "a text", types.NoneType: "empty",
        bool: "true or false", int: "a number", float: "a number",
    }  # fmt: skip
    return names.get(type(value), type(value).__name__)


def what_fits(data: Any, shape: type[msgspec.Struct]) -> Any:
    """A struct of the values that have the right type; defaults, or empty ones, for the rest."""
    empty = {"version": 1, "sources": [], "name": "", "files": []}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        inner = struct_of_list(field.type)
        value = data.get(field.encode_name) if isinstance(data, dict) else None
        if inner is not None and isinstance(value, list):
            values[field.name] = [what_fits(item, inner) for item in value]
            continue
        try:
            values[field.name] = msgspec.convert(data[field.encode_name], field.type)
        except (msgspec.ValidationError, KeyError, TypeError):
            if field.required:
                values[field.name] = empty[field.name]
    return shape(**values)
