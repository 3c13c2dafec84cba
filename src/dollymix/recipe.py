"""What is to be built: a YAML file, checked as a whole, all faults at once.

Holds no defaults of steps and formats: each option's default lives in the module that owns it.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from dollymix import formats, steps
from dollymix.errors import RecipeError, UsageError
from dollymix.framing import Declared, Limits
from dollymix.framing.streams import STDIN
from dollymix.secret import holds_secret, told
from dollymix.text import nearest, quoted

Path_ = tuple[str | int, ...]

# A recipe nested more deeply is none.
DEPTH = 32

_NAME = re.compile(r"\w[\w.-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Some YAML readers take these for true and false, others for words.
_NORWAY = frozenset(("yes", "no", "on", "off"))


_KEEP_OUT = "looks like a password or token: keep it out, builds record it [config.secret]"


class StepSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step as the recipe names it, with its options."""

    name: str
    options: dict[str, Any] = {}


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Files of one format, with a name."""

    name: str
    files: list[str]
    format: str | None = None
    framing: Declared = "auto"
    encoding: str | None = None
    delimiter: str | None = None
    salvage: bool = False
    limits: Limits = Limits()
    options: dict[str, Any] = {}
    category: str | None = None
    licence: str | None = None
    allow_empty: bool = False
    revision: str | None = None
    sha256: str | None = None
    steps: list[StepSpec] = []


class Output(msgspec.Struct, frozen=True):
    """One form of the set on disk."""

    view: str = "dolly"
    format: Literal["jsonl", "parquet"] = "jsonl"


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole recipe. `max_rejected` is a share of parts, per source; `published` a date."""

    version: Literal[1]
    sources: list[Source]
    steps: list[StepSpec] = []
    splits: dict[str, float] = {}
    outputs: list[Output] = msgspec.field(default_factory=lambda: [Output()])
    seed: int = 0
    shuffle: bool = False
    on_bad_file: Literal["stop", "skip"] = "stop"
    max_rejected: float | None = None
    published: str | None = None

    def encode(self) -> bytes:
        """The recipe as canonical JSON: what digests are taken of."""
        # JSON with escapes: a path may hold bytes that are no characters.
        return json.dumps(msgspec.to_builtins(self), sort_keys=True).encode()


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
    document = _Document(text, place)
    data = document.read()
    for key, value in (overrides or {}).items():
        if holds_secret(key) or holds_secret(value):
            raise UsageError(f"--set {key}: {_KEEP_OUT}")
        _override(data, key, _Document(value, f"--set {key}").read(), document)
    return _check(data, document)


def from_paths(paths: list[Path], **settings: Any) -> Recipe:
    """The recipe for bare paths: one source a path, named after it, each format detected."""
    taken: set[str] = set()
    sources = [Source(source_name(path, taken), [_absolute(path)]) for path in paths]
    return Recipe(version=1, sources=sources, **settings)


def refuse_secrets(asked: Recipe) -> None:
    """Raise UsageError where a recipe that was made of paths or in Python holds a secret."""
    for text in _texts(msgspec.to_builtins(asked)):
        if holds_secret(text):
            raise UsageError(f"{text}: {_KEEP_OUT}")


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


def _absolute(path: Path) -> str:
    return STDIN if str(path) == STDIN else str(path.absolute())


def source_name(path: Path, taken: set[str]) -> str:
    """A source's name after its file or folder; `-2`, `-3` where it is taken."""
    stem = "stdin" if str(path) == STDIN else path.resolve().name.split(".")[0]
    name = "".join(c if c.isalnum() or c in "_-" else "-" for c in stem).strip("-") or "source"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    taken.add(unique)
    return unique


class _Document:
    """A YAML text while it is read: its values, the line of each, and the faults found."""

    def __init__(self, text: str, place: str) -> None:
        self.text = text
        self.place = place
        self.tags: dict[tuple[int, int], str] = {}
        self.lines: dict[Path_, int] = {}
        self.problems: list[tuple[int, str]] = []
        self.data: Any = None

    def holds(self, path: Path_, value: Any) -> bool:
        """True where the value at that path is this one."""
        found = self.data
        try:
            for part in path:
                found = found[part]
        except (KeyError, IndexError, TypeError):
            return False
        return bool(found == value)

    def fault(self, path: Path_, message: str) -> None:
        """Note a fault at a path."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        self.problems.append((line, self._line(line, f"{_shown(path)}{message}")))

    def _line(self, line: int, message: str) -> str:
        return f"{self.place}:{line}: {message}" if line else f"{self.place}: {message}"

    def raise_faults(self) -> None:
        """Raise RecipeError where there are any."""
        if self.problems:
            ordered = [text for _, text in sorted(self.problems, key=lambda p: p[0])]
            raise RecipeError(*dict.fromkeys(ordered))

    def read(self) -> Any:
        """The values as plain Python ones. Tags, aliases and repeated keys are faults."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        reader = YAML(typ="safe", pure=True)
        try:
            self._look_over(reader)
            node = reader.compose(self.text)
        except (YAMLError, ValueError) as error:
            raise RecipeError(self._syntax(error)) from error
        if node is None:
            raise RecipeError(self._line(0, "is empty [config.empty]"))
        value = self._value(node, (), reader, set())
        self.raise_faults()
        self.data = value
        return value

    def _look_over(self, reader: Any) -> None:
        """Note where tags stand. Raises RecipeError for deep nesting, before anything recurses."""
        from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

        depth = 0
        for event in reader.parse(self.text):
            mark = event.start_mark
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            if depth > DEPTH:
                message = f"is nested more than {DEPTH} levels deep [config.depth]"
                raise RecipeError(self._line(mark.line + 1, message))
            if getattr(event, "tag", None) is not None:
                self.tags[mark.line, mark.column] = str(event.tag)

    def _syntax(self, error: Exception) -> str:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        return self._line(mark.line + 1 if mark else 0, f"is not YAML: {what} [config.syntax]")

    def _value(self, node: Any, path: Path_, reader: Any, seen: set[int]) -> Any:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in seen:
            self.fault(path, "is an alias: write the value out [config.alias_limit]")
            return None
        seen.add(id(node))
        if self._has_tag(node, path):
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, reader)
        if isinstance(node, SequenceNode):
            return [self._value(n, (*path, i), reader, seen) for i, n in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.fault(path, "has a key that is no text [config.type]")
                continue
            key = str(key_node.value)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            self._has_tag(key_node, (*path, key))
            if key in values:
                self.fault((*path, key), "stands twice [config.duplicate_key]")
            values[key] = self._value(value_node, (*path, key), reader, seen)
        return values

    def _has_tag(self, node: Any, path: Path_) -> bool:
        tag = self.tags.get((node.start_mark.line, node.start_mark.column))
        if tag is not None:
            self.fault(path, f"has the tag {_named(tag)}: tags are not read [config.tag]")
        return tag is not None

    def _scalar(self, node: Any, path: Path_, reader: Any) -> Any:
        from ruamel.yaml.error import YAMLError

        if node.style is None and node.value.lower() in _NORWAY:
            self.fault(
                path,
                f"is {_named(node.value)}, to some readers a word and to others true or false: "
                "write true or false, or put the word in quotes [config.type]",
            )
            return None
        try:
            return _plain(reader.constructor.construct_object(node))
        except (YAMLError, ValueError):
            self.fault(path, f"is {_named(node.value)}, which is no value [config.type]")
            return None


def _named(text: str) -> str:
    # Hidden before it is cut: half a secret is one, too.
    return quoted(told(text))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else value


def _shown(path: Path_) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{quoted(told(text.removeprefix('.')), 200)} " if path else ""


def _override(data: Any, key: str, value: Any, document: _Document) -> None:
    """Set one value; a list's item is named by its number, a source by its name."""
    parts = key.split(".")
    for part in parts[:-1]:
        if isinstance(data, list):
            by_name = {str(item.get("name")): item for item in data if isinstance(item, dict)}
            index = int(part) if part.isdigit() else -1
            if part not in by_name and not 0 <= index < len(data):
                raise UsageError(f"--set {key}: there is no {_named(part)}")
            data = by_name[part] if part in by_name else data[index]
        elif isinstance(data, dict):
            data = data.setdefault(part, {})
        if not isinstance(data, (dict, list)):
            raise UsageError(f"--set {key}: {_named(part)} holds no values")
    if not isinstance(data, dict):
        raise UsageError(f"--set {key}: name a key, not an item of a list")
    data[parts[-1]] = value
    del document


def _check(data: Any, document: _Document) -> Recipe:
    if not isinstance(data, dict):
        document.fault((), "is no mapping: expected `version`, `sources`, ... [config.type]")
        document.raise_faults()
    _normalise_steps(data)
    for source in data.get("sources") or () if isinstance(data.get("sources"), list) else ():
        if isinstance(source, dict):
            _normalise_steps(source)
    _check_struct(data, Recipe, (), document)
    _check_texts(data, (), document)
    # Meaning is checked on what has the right type, so that all faults come at once.
    _check_meaning(_what_fits(data, Recipe), document)
    document.raise_faults()
    return msgspec.convert(data, Recipe)


def _what_fits(data: Any, shape: type[msgspec.Struct]) -> Any:
    """A struct of the values that have the right type; defaults, or empty ones, for the rest."""
    empty = {"version": 1, "sources": [], "name": "", "files": []}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        inner = _struct_of_list(field.type)
        value = data.get(field.encode_name) if isinstance(data, dict) else None
        if inner is not None and isinstance(value, list):
            values[field.name] = [_what_fits(item, inner) for item in value]
            continue
        try:
            values[field.name] = msgspec.convert(data[field.encode_name], field.type)
        except (msgspec.ValidationError, KeyError, TypeError):
            if field.required:
                values[field.name] = empty[field.name]
    return shape(**values)


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


def _check_struct(data: Any, shape: type[msgspec.Struct], path: Path_, document: _Document) -> None:
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


def _check_value(value: Any, annotation: Any, path: Path_, document: _Document) -> None:
    inner = _struct_of_list(annotation)
    if inner is not None and isinstance(value, list):
        for index, item in enumerate(value):
            _check_struct(item, inner, (*path, index), document)
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


def _struct_of_list(annotation: Any) -> type[msgspec.Struct] | None:
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


def _check_texts(value: Any, path: Path_, document: _Document) -> None:
    """Passwords and tokens do not belong into a recipe, which is copied into every build; nor do
    characters that no file can hold."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if holds_secret(key):
                document.fault((*path, key), _KEEP_OUT)
            _check_texts(inner, (*path, key), document)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_texts(inner, (*path, index), document)
    elif isinstance(value, str):
        if holds_secret(value):
            document.fault(path, _KEEP_OUT)
        if "\x00" in value or not _can_be_written(value, path):
            document.fault(path, "holds what is no character [config.value]")


def _can_be_written(value: str, path: Path_) -> bool:
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


def _check_meaning(recipe: Recipe, document: _Document) -> None:
    """What types cannot say: names that exist, shares that add up, steps in order."""
    seen: set[str] = set()
    if not recipe.sources and document.holds(("sources",), []):
        document.fault(("sources",), "is empty: name at least one source [config.empty]")
    for index, source in enumerate(recipe.sources):
        path: Path_ = ("sources", index)
        if source.name and source.name in seen:
            document.fault((*path, "name"), f"{_named(source.name)} stands twice [config.value]")
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


def _unknown_name(path: Path_, name: str, known: list[str], document: _Document) -> None:
    near = nearest(name, known)
    hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(known)}."
    document.fault(path, f"{_named(name)} is not known. {hint} [config.unknown_name]")


def _check_format(source: Source, path: Path_, document: _Document) -> None:
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
    _check_struct(source.options, options, (*path, "options"), document)


def _can_import(
    path: Path_, name: str, load_module: Callable[[str], Any], document: _Document
) -> bool:
    """Import a module that a dotted name stands for; an error inside it is shown."""
    if "." not in name:
        return True
    try:
        load_module(name)
    except (ImportError, UsageError) as error:
        document.fault(path, f"{_named(name)} cannot be imported: {error} [config.import]")
        return False
    return True


def _check_steps(listed: list[StepSpec], path: Path_, document: _Document) -> None:
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
                f"{_named(step.name)} judges single examples and must stand before "
                f"{_named(first_group[1])} (line {line}), which compares them [config.order]",
            )


def _check_options(step: StepSpec, path: Path_, document: _Document) -> None:
    """Note each option that is wrong by itself, or else what the step says of them together."""
    known = len(document.problems)
    shape = steps.load(step.name).Step
    _check_struct(step.options, shape, path, document)
    if len(document.problems) > known:
        return
    try:
        msgspec.convert(step.options, shape)
    except msgspec.ValidationError as error:
        document.fault(path, f"{_named(step.name)}: {error} [config.value]")


def _check_splits(recipe: Recipe, document: _Document) -> None:
    for name, share in recipe.splits.items():
        if not _NAME.fullmatch(name):
            document.fault(("splits", name), "is no name for a folder [config.value]")
        if not 0 < share <= 1:
            document.fault(("splits", name), "must be more than 0, and 1 at most [config.value]")
    if recipe.splits and abs(sum(recipe.splits.values()) - 1) > 1e-9:
        total = sum(recipe.splits.values())
        document.fault(("splits",), f"must add up to 1, not {total:g} [config.value]")
