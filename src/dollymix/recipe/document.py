"""A YAML text, read value by value with the line of each."""

from __future__ import annotations

import datetime
from typing import Any

from dollymix.errors import RecipeError
from dollymix.secret import told
from dollymix.text import quoted

# The keys and list indices that lead to a value.
KeyPath = tuple[str | int, ...]

# A recipe nested more deeply is none.
DEPTH = 32

# Some YAML readers take these for true and false, others for words.
_NORWAY = frozenset(("yes", "no", "on", "off"))


class Document:
    """A YAML text while it is read: its values, the line of each, and the faults found."""

    def __init__(self, text: str, place: str) -> None:
        self.text = text
        self.place = place
        self.tags: dict[tuple[int, int], str] = {}
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[tuple[int, str]] = []
        self.data: Any = None

    def holds(self, path: KeyPath, value: Any) -> bool:
        """True where the value at that path is this one."""
        found = self.data
        try:
            for part in path:
                found = found[part]
        except (KeyError, IndexError, TypeError):
            return False
        return bool(found == value)

    def fault(self, path: KeyPath, message: str) -> None:
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

    def _value(self, node: Any, path: KeyPath, reader: Any, seen: set[int]) -> Any:
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

    def _has_tag(self, node: Any, path: KeyPath) -> bool:
        tag = self.tags.get((node.start_mark.line, node.start_mark.column))
        if tag is not None:
            self.fault(path, f"has the tag {named(tag)}: tags are not read [config.tag]")
        return tag is not None

    def _scalar(self, node: Any, path: KeyPath, reader: Any) -> Any:
        from ruamel.yaml.error import YAMLError

        if node.style is None and node.value.lower() in _NORWAY:
            self.fault(
                path,
                f"is {named(node.value)}, to some readers a word and to others true or false: "
                "write true or false, or put the word in quotes [config.type]",
            )
            return None
        try:
            return _plain(reader.constructor.construct_object(node))
        except (YAMLError, ValueError):
            self.fault(path, f"is {named(node.value)}, which is no value [config.type]")
            return None


def named(text: str) -> str:
    """A text in quotes, with no secret in it."""
    # Hidden before it is cut: half a secret is one, too.
    return quoted(told(text))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else value


def _shown(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{quoted(told(text.removeprefix('.')), 200)} " if path else ""
