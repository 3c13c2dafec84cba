"""The one place where a JSON value becomes a typed one, and where a failure gets its reason code.

Good data is parsed once. Only a value that failed is looked at again, to say why: encoding first,
then syntax, then shape.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from dollymix.text import nearest, quoted

# What decoding may raise. A bad byte is a UnicodeDecodeError, deep nesting a RecursionError.
FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Problem(msgspec.Struct, frozen=True):
    """Why a value could not be read: a stable code, the JSON path inside it, a line of text."""

    reason: str
    path: str
    message: str

    @property
    def costs_file(self) -> bool:
        """True where, inside one JSON document, nothing behind this value can be trusted."""
        return self.reason.startswith(("json.syntax", "json.depth", "encoding."))


def join(parent: str, child: str) -> str:
    """Two JSON paths as one."""
    if not parent or not child or child.startswith("["):
        return parent + child
    return f"{parent}.{child}"


def explain_failure(raw: Any, error: Exception) -> Problem:
    """The reason why decoding `raw` (bytes-like) raised `error`."""
    data = bytes(raw)
    if isinstance(error, RecursionError):
        return Problem("json.depth", "", "is nested more deeply than can be read")
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        return Problem(
            "encoding.invalid_utf8", "", f"is not UTF-8: {bad.reason} at byte {bad.start}"
        )
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except RecursionError:
        return Problem("json.depth", "", "is nested more deeply than can be read")
    except msgspec.DecodeError as syntax:
        return _explain_syntax(data, syntax)
    if isinstance(error, msgspec.ValidationError):
        return _explain_shape(data, str(error))
    return _explain_syntax(data, error)


def _explain_syntax(data: bytes, error: Exception) -> Problem:
    # The decoder calls a lone surrogate truncated input; a lenient parser tells the two apart.
    if _SURROGATE.search(data):
        try:
            json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            pass
        else:
            return Problem(
                "unicode.lone_surrogate",
                "",
                "holds half of a surrogate pair, which is no character",
            )
    return Problem("json.syntax", "", f"is not JSON: {explain_syntax(error)}{_hint(data)}")


def explain_syntax(error: Exception) -> str:
    """What the decoder says of text that is no JSON."""
    if isinstance(error, RecursionError):
        return "it is nested more deeply than can be read"
    what = str(error).removeprefix("JSON is malformed: ")
    return "the value is cut off" if what == "Input data was truncated" else what


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _hint(data: bytes) -> str:
    """A word on the usual causes of text that is nearly JSON."""
    start = data.lstrip()[:1]
    if start == b"\x1e":
        return "; it begins with a record separator (RFC 7464)"
    if data.lstrip().startswith((b"{'", b"['")):
        return "; it looks like Python's print-out, whose quotes are single"
    if re.search(rb"[:\[,]\s*-?(NaN|Infinity)\b", data):
        return "; NaN and Infinity are not JSON"
    if b"\r{" in data or b"}\r" in data.rstrip(b"\r\n"):
        return "; its lines end in CR alone"
    if data.rstrip().endswith((b"},", b"],")):
        return "; it ends in a comma, like an array written line by line"
    return ""


def _explain_shape(data: bytes, text: str) -> Problem:
    found = _AT.match(text)
    assert found is not None
    what, path = found["what"], (found["path"] or "$").removeprefix("$").removeprefix(".")
    if path.startswith("[...]"):
        path = path.removeprefix("[...]")
    missing = _MISSING.match(what)
    if missing:
        name = missing["name"]
        return Problem("schema.missing_field", join(path, name), f"is missing{_near(data, name)}")
    if "out of range" in what:
        return Problem("json.number_range", path, "is a number out of range")
    expected, _, got = what.partition(", got ")
    if not path and expected == "Expected `object`":
        return Problem("schema.not_object", path, f"is {got}, not an object")
    expected = expected.replace("Expected `", "expected `").replace(" | ", "` or `")
    if got == "`null`":
        return Problem("schema.null", path, f"is null: {expected}")
    return Problem("schema.type", path, f"is {got}: {expected}" if got else what)


def _near(data: bytes, name: str) -> str:
    """`, but there is X`, where a key of the record is nearly the missing one."""
    try:
        keys = list(msgspec.json.decode(data, type=dict[str, msgspec.Raw]))
    except FAILURES:
        return ""
    lowered = {key.strip("\ufeff ").casefold(): key for key in keys}
    near = nearest(name, list(lowered))
    return f", but there is {quoted(lowered[near])}" if near else ""
