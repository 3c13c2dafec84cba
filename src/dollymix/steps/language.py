"""Leaves out examples of which a field is written in other scripts than those of its languages.

What counts is the share of letters: Hangul for `ko`, Latin for `en`, Kana and Han for `ja`, and so
on. Code, formulas, markup and addresses do not count against a text: where the whole falls short,
it is judged again without them. A field with fewer than `least` letters is not judged: a name or a
term may be all of an answer.

    steps: [{language: {languages: [ko], share: 0.1, fields: [response]}}]

`identifier: true` also asks a language identifier (`py3langid`, with its model in its wheel:
`pip install 'dollymix[language]'`), which tells languages of one script apart, such as `en` and
`fr`; it judges texts of `least` letters or more without their code, and only where it is sure.

Filters: `language.other` (scripts), `language.identified`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from typing import Annotated, Literal

import msgspec

from dollymix.example import Example
from dollymix.ledger import Verdict, filtered
from dollymix.prose import letters, without_code
from dollymix.text import quoted

Field = Literal["instruction", "context", "response"]

_SCRIPTS = {
    "ko": ("hangul",),
    "ja": ("kana", "han"),
    "zh": ("han",),
    **dict.fromkeys(("en", "de", "fr", "es", "pt", "it", "nl"), ("latin",)),
    **dict.fromkeys(("vi", "id", "pl", "sv", "tr"), ("latin",)),
    **dict.fromkeys(("ru", "uk", "bg"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("arabic",)),
    "el": ("greek",),
    "he": ("hebrew",),
    "hi": ("devanagari",),
    "th": ("thai",),
}
# How sure the identifier must be.
_SURE = 0.9


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """`languages`: those that stay, by their ISO 639-1 codes; `fields`: which are judged; `share`:
    the least share of letters in their scripts; `least`: how many letters a text must have to be
    judged; `identifier`: whether to ask the language identifier, too."""

    languages: tuple[str, ...] = ("ko",)
    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1)] = ("response",)
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    least: Annotated[int, msgspec.Meta(ge=1)] = 100
    identifier: bool = False

    def __post_init__(self) -> None:
        unknown = [code for code in self.languages if code not in _SCRIPTS]
        if unknown or not self.languages:
            told = f"holds {quoted(unknown[0])}, " if unknown else "is empty, "
            raise ValueError(f"`languages` {told}not codes of {', '.join(sorted(_SCRIPTS))}")
        if self.identifier and find_spec("py3langid") is None:
            raise ValueError("`identifier` needs a package: pip install 'dollymix[language]'")

    def versions(self) -> dict[str, str]:
        """The version of the identifier, which brings its model."""
        return {"py3langid": importlib.metadata.version("py3langid")} if self.identifier else {}

    def __call__(self, example: Example) -> Example | Verdict:
        """The example as it is, or the verdict on its language."""
        for name in self.fields:
            text: str = getattr(example, name)
            if len(text) < self.least or self._is_surely_wanted(text):
                continue
            judged = self._judge(text)
            if judged:
                reason, message = judged
                return filtered(example, "language", reason, f"`{name}` {message}")
        return example

    def _is_surely_wanted(self, text: str) -> bool:
        """True where its beginning alone has letters enough for the whole text."""
        if self.identifier:
            return False
        found = letters(text[: len(text) // 4])
        return sum(found.get(script, 0) for script in self._scripts) >= self.share * len(text)

    def _judge(self, text: str) -> tuple[str, str] | None:
        share = self._share(text)
        if share is None or (share >= self.share and not self.identifier):
            return None
        prose = without_code(text)
        share_of_prose = self._share(prose)
        if share_of_prose is None:
            return None
        if max(share, share_of_prose) < self.share:
            wanted = " or ".join(self._scripts)
            return "language.other", f"has {share_of_prose:.0%} of its letters in {wanted}"
        if not self.identifier:
            return None
        code, sureness = self._identify(prose)
        if sureness < _SURE or code in self.languages:
            return None
        return "language.identified", f"is taken for `{code}`"

    def _share(self, text: str) -> float | None:
        """The share of letters in the wanted scripts; None where there are too few to judge."""
        found = letters(text)
        total = sum(found.values())
        if total < self.least:
            return None
        return sum(found.get(script, 0) for script in self._scripts) / total

    @cached_property
    def _scripts(self) -> tuple[str, ...]:
        return tuple({script: None for code in self.languages for script in _SCRIPTS[code]})

    @cached_property
    def _identify(self) -> Callable[[str], tuple[str, float]]:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        made.set_languages(sorted(_SCRIPTS))
        classify: Callable[[str], tuple[str, float]] = made.classify
        return classify
