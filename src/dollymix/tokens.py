"""How many tokens a text has, by a tokenizer's own file (`tokenizer.json`)."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import Any

from dollymix.errors import UsageError
from dollymix.text import printable


@functools.lru_cache(maxsize=4)
def load(path: str) -> Any:
    """The tokenizer in a file, without truncation and padding.

    Raises UsageError where there is none, or the extra `tokenizers` is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        message = 'tokens are counted by the tokenizers package: pip install "dollymix[tokenizers]"'
        raise UsageError(message) from error
    try:
        made = Tokenizer.from_file(path)
    except Exception as error:  # the library raises Exception itself
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{printable(path)}: is no tokenizer.json: {printable(what)}; name one that the "
            "tokenizers package saved, by its path from the recipe"
        ) from error
    made.no_truncation()
    made.no_padding()
    return made


def versions(path: str) -> dict[str, str]:
    """The version of what counts the tokens of that file."""
    return {"tokenizers": importlib.metadata.version("tokenizers")} if path else {}


def count(path: str, text: str) -> int:
    """How many tokens a text has, special tokens not added; its bytes where `path` is empty.

    Raises UsageError as `load`.
    """
    if not path:
        return len(text.encode())
    return len(load(path).encode(text, add_special_tokens=False)) if text else 0
