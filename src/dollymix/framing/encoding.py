"""In which encoding a file's text is stored, and its text as UTF-8."""

from __future__ import annotations

import codecs

from dollymix.errors import InputError
from dollymix.framing import jsonl
from dollymix.framing.streams import Reader

_CHECKED_BYTES = 1 << 16

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Which of four bytes are NUL, where an encoding of two or four bytes a character has ASCII.
_WIDE = {
    "x0x0": "utf-16-le",
    "0x0x": "utf-16-be",
    "x000": "utf-32-le",
    "xx00": "utf-32-le",
    "000x": "utf-32-be",
    "00xx": "utf-32-be",
}
_UNREADABLE = (
    "idna",
    "punycode",
    "undefined",
    "hz",
    "unicode_escape",
    "raw_unicode_escape",
)


def encoding_of(raw: bytes, declared: str | None, place: str) -> tuple[int, str]:
    """The length of the byte-order mark and the stored encoding."""
    found = next(((len(mark), name) for mark, name in _BOMS if raw.startswith(mark)), None)
    if found:
        return found
    if declared is None:
        return 0, "utf-8"
    try:
        name = codecs.lookup(declared).name
        "{}".encode(name)
    except (LookupError, UnicodeError) as error:
        message = f"`{declared}` is no known encoding of text"
        raise InputError("encoding.unknown", place, message) from error
    if name in _UNREADABLE:
        message = f"`{declared}` is not read. Convert the file to UTF-8"
        raise InputError("encoding.unknown", place, message)
    if name in ("utf-16", "utf-32"):
        name += "-le"
    return 0, name


def as_utf8(raw: bytes, bom: int, encoding: str, whole: bool, place: str) -> bytes:
    """The text behind the byte-order mark."""
    text = raw[bom:]
    if encoding != "utf-8":
        # A declared encoding: what does not decode is a matter of its line, or of the build.
        return codecs.getincrementaldecoder(encoding)("replace").decode(text, final=whole).encode()
    wide = _wide_encoding(text)
    if wide is not None:
        raise InputError("encoding.not_utf8", place, f"is not UTF-8. Set `encoding: {wide}`?")
    try:
        head = text[:_CHECKED_BYTES]
        final = whole and len(head) == len(text)
        codecs.getincrementaldecoder("utf-8")().decode(head, final=final)
    except UnicodeDecodeError as error:
        _refuse_other_encoding(text, place, bom + error.start)
    return text


def _wide_encoding(raw: bytes) -> str | None:
    """The encoding of two or four bytes a character in which text has its NULs where these stand,
    if more than a quarter of its characters are ASCII."""
    are_nul = (raw[place::4].count(b"\x00") * 16 > len(raw) for place in range(4))
    return _WIDE.get("".join("0" if is_nul else "x" for is_nul in are_nul))


def _refuse_other_encoding(raw: bytes, place: str, byte: int) -> None:
    """Bad bytes here and there are their lines' matter; with some in every line, it is no UTF-8."""
    for line in raw.splitlines()[:100]:
        try:
            if line.strip() and line.decode() and not line.isascii():
                return
            if line.startswith(b"{") and line.isascii():
                return
        except UnicodeDecodeError:
            continue
    shown = raw[:_CHECKED_BYTES].decode(errors="replace")
    if shown.count("\ufffd") * 2 < sum(not char.isascii() for char in shown):
        return
    try:
        codecs.getincrementaldecoder("cp949")().decode(raw[:_CHECKED_BYTES])
        hint = "Set `encoding: cp949`?"
    except UnicodeDecodeError:
        hint = "Name its encoding with `encoding:`"
    raise InputError("encoding.not_utf8", place, f"is not UTF-8. {hint}", byte)


def check_head(head: bytes, bom: int, stored: str, place: str) -> None:
    """What stands before the first record is not read again: that it decodes is seen here."""
    try:
        head[bom:].decode(stored)
    except UnicodeDecodeError as error:
        message = jsonl.not_in(stored, error)
        raise InputError("encoding.invalid", place, message, bom + error.start) from error


class Transcoding:
    """A stream of another encoding as UTF-8; what does not decode refuses the file, behind all
    that stands before it."""

    def __init__(self, reader: Reader, encoding: str, place: str, position: int) -> None:
        self._reader = reader
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._place = place
        self._position = position
        self._ended = False
        self._fault: InputError | None = None

    def read(self) -> bytes:
        """The next piece as UTF-8; empty at the end. Raises InputError (`encoding.invalid`)."""
        while not self._ended:
            text = self._next()
            if text:
                return text.encode()
        if self._fault is not None:
            raise self._fault
        return b""

    def _next(self) -> str:
        piece = self._reader.read()
        self._ended = not piece
        self._position += len(piece)
        try:
            return self._decoder.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            # The decoder was given these bytes, and those that it had kept from before.
            byte = self._position - len(error.object) + error.start
            message = jsonl.not_in(self._encoding, error)
            self._fault = InputError("encoding.invalid", self._place, message, byte)
            self._ended = True
            return error.object[: error.start].decode(self._encoding, "ignore")

    def close(self) -> None:
        """Close the stream below."""
        self._reader.close()
