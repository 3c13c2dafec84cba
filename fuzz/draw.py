"""From the fuzzer's bytes to an input of a target. No chance: the same bytes, the same input.

Byte for byte mutation seldom makes whole JSON, so most inputs are drawn from a small grammar whose
every choice is a byte of the fuzzer's.
"""

from __future__ import annotations

KEYS = (
    "instruction", "response", "context", "category", "input", "output", "id", "system", "history",
    "tools", "rejected", "chosen", "images", "conversations", "conversation", "from", "value",
    "human", "assistant", "role", "paragraphs", "qas", "question", "answers", "answer", "text",
    "answer_start", "is_impossible", "title", "url", "raw_html", "guid", "data", "version", "x", "",
)  # fmt: skip
_TEXTS = (
    b'"a"', b'""', b'" "', b'"human"', b'"gpt"', b'"system"', b'" user "', b'"tool"',
    b'"\\u200b"', '"한강"'.encode(), b'"a\\"b"', b'"},{"', b'"\\\\"', b'"\\ud800"', b'"\\ud83d\\ude00"',
    b'"\xff"', b'"\x01"', b'"a\\u0000"', b'":"', b'"\\"from\\":"', b'"]"', b'"QWJhYvA_4"', b'"\\x"',
)  # fmt: skip
_SCALARS = (
    b"null", b"true", b"false", b"0", b"1", b"-1", b"1.5", b"1e400", b"NaN", b"01", b"[]", b"{}",
    b"[ ]", b"{ }", b"9223372036854775808", b"123456789012345678901234567890", b"",
)  # fmt: skip
_SPACES = (b"", b"", b"", b"", b" ", b"\n", b"\t", b"\r\n")
_TOKENS = (b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"},{", b'{"a":1}', b'{"a":')
_DEPTH = 6


class Draw:
    """Choices taken one by one from bytes; where these have run out, the first is taken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """True where every further choice is the first."""
        return self._at >= len(self._data)

    def below(self, limit: int) -> int:
        """A number below the limit, which is at most 256."""
        if self.is_over:
            return 0
        self._at += 1
        return self._data[self._at - 1] % limit

    def rest(self) -> bytes:
        """All bytes that are left."""
        self._at, rest = len(self._data), self._data[self._at :]
        return rest

    def space(self) -> bytes:
        """White space between two tokens, mostly none."""
        return _SPACES[self.below(len(_SPACES))]

    def text(self) -> bytes:
        """A JSON string, of which some are none."""
        return _TEXTS[self.below(len(_TEXTS))]

    def key(self) -> bytes:
        """A JSON string that is a key of some format, at times with an escape in it."""
        name = KEYS[self.below(len(KEYS))]
        if name and self.below(16) == 1:
            return b'"\\u%04x%s"' % (ord(name[0]), name[1:].encode())
        return b'"%s"' % name.encode()

    def value(self, depth: int = 0) -> bytes:
        """Any JSON value, of which some are none."""
        kind = self.below(6)
        if self.is_over or kind == 0:
            return self.text()
        if kind == 1:
            return _SCALARS[self.below(len(_SCALARS))]
        if kind < 4 and depth < _DEPTH:
            items = [self.value(depth + 1) for _ in range(self.below(4))]
            return b"[" + (b"," + self.space()).join(items) + self.space() + b"]"
        return self.object(depth) if depth < _DEPTH else self.text()

    def object(self, depth: int = 0) -> bytes:
        """A JSON object of keys that formats read; a key may stand in it twice."""
        members = [
            self.key() + self.space() + b":" + self.space() + self.value(depth + 1)
            for _ in range(self.below(6))
        ]
        return b"{" + self.space() + (self.space() + b",").join(members) + b"}"

    def record(self, name: str) -> bytes:
        """A record that nearly has the shape of a format, or any object."""
        kind = self.below(8)
        if kind == 0:
            return self.object()
        made = getattr(self, f"_{name}")()
        return self.damaged(made) if kind == 1 else made

    def damaged(self, data: bytes) -> bytes:
        """The bytes with a token put in somewhere, or some taken out."""
        at = (self.below(256) << 8 | self.below(256)) % (len(data) + 1)
        token = _TOKENS[self.below(len(_TOKENS))]
        return data[:at] + token + data[at + self.below(4) :]

    def _members(self, *names: str) -> bytes:
        """An object with these keys, some of which may be missing, doubled or of any value."""
        members: list[bytes] = []
        for name in names:
            kind = self.below(8)
            if kind == 1:
                continue
            value = self.value(3) if kind == 2 else self._expected(name)
            member = b'"%s":%s' % (name.encode(), value)
            members += [member] * (2 if kind == 3 else 1)
        if self.below(4) == 1:
            members.append(self.key() + self.space() + b":" + self.value(3))
        return b"{" + b",".join(members) + b"}"

    def _list(self, *names: str) -> bytes:
        items = [
            self.value(3) if self.below(8) == 1 else self._members(*names)
            for _ in range(self.below(5))
        ]
        return b"[" + b",".join(items) + b"]"

    def _expected(self, name: str) -> bytes:
        if name == "conversations":
            return self._list("from", "value")
        if name == "conversation":
            return self._list("human", "assistant")
        if name == "paragraphs":
            return self._list("context", "qas")
        if name == "qas":
            return self._list("question", "id", "answers", "answer", "is_impossible")
        if name == "answers":
            return self._list("text", "answer_start")
        if name == "answer":
            return self._members("text", "answer_start", "html_answer_text")
        if name == "answer_start":
            return _SCALARS[3:6][self.below(3)]
        if name == "is_impossible":
            return _SCALARS[1:3][self.below(2)]
        if name == "history":
            return b"[" + b",".join(b'["a","b"]' for _ in range(self.below(3))) + b"]"
        if name in ("tools", "id"):
            return self.value(3)
        return self.text()

    def _dolly(self) -> bytes:
        return self._members("instruction", "context", "response", "category", "system", "history")

    def _alpaca(self) -> bytes:
        return self._members("instruction", "input", "output", "response", "history", "tools")

    def _sharegpt(self) -> bytes:
        which = ("conversations",) if self.below(4) else ("conversation", "conversations")
        return self._members("id", *which, "system", "tools")

    def _squad(self) -> bytes:
        return self._members("title", "paragraphs")

    def _korquad2(self) -> bytes:
        return self._members("title", "url", "context", "qas")
