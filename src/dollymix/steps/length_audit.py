"""Counts tokens, and tells how many examples trainers would cut or drop for their length.

    steps: [{length_audit: {tokenizer: path/to/tokenizer.json}}]

Tokens are summed by field; for each limit it is counted how many examples are longer, and of how
many the prompt alone is. From that follows what trainers do with their defaults, and the build
warns, `length_audit.too_long`, of each limit that some example passes:

* TRL cuts the end off (`max_length`, 1,024 by default), and drops an example of which no token of
  the response is left, where the loss is on the response alone: of prompt and completion always,
  of `messages` with `assistant_only_loss`;
* Axolotl drops it (`sequence_len`, `excess_length_strategy: drop`);
* LLaMA-Factory cuts prompt and response (`cutoff_len`, 2,048 by default);
* ms-swift drops it (`truncation_strategy: delete`).

The prompt is all but the response: system, history, instruction and context. `rejected`, `tools`
and turns behind the response are not counted. A chat template adds
tokens of its own, a few a turn: name them as `template_tokens` where they count. Without a
tokenizer a token is a byte of UTF-8, which is the most that a byte-level tokenizer makes. Nothing
is changed; the sums are in the ledger under `measures`. A tokenizer needs
`pip install "dollymix[tokenizers]"`.
"""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import msgspec

from dollymix import tokens
from dollymix.example import Example
from dollymix.steps import Finding

_FIELDS = ("instruction", "context", "response", "system", "history")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tokenizer`: a `tokenizer.json`, relative to the recipe. `limits`: in tokens, an example's.
    `template_tokens`: what a chat template adds to each example."""

    tokenizer: str = ""
    limits: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = (1024, 2048, 4096, 8192)
    template_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if not self.limits or len(set(self.limits)) < len(self.limits):
            raise ValueError("`limits` must be one or more numbers, each once")

    def versions(self) -> dict[str, str]:
        """The version of what counts tokens."""
        return tokens.versions(self.tokenizer)

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the counts."""
        limits = [f"{what}_{limit}" for limit in self.limits for what in ("over", "prompt_over")]
        return ("examples", *(f"{field}_tokens" for field in _FIELDS), *limits)

    def measure(self, example: Example) -> tuple[int, ...]:
        """The example's tokens by field, and which limits it passes."""
        texts = (example.instruction, example.context, example.response, example.system)
        counts = [tokens.count(self.tokenizer, text) for text in texts]
        counts.append(sum(tokens.count(self.tokenizer, turn.content) for turn in example.history))
        total = sum(counts) + self.template_tokens
        prompt = total - counts[2]
        passed = [(int(total > limit), int(prompt >= limit)) for limit in self.limits]
        return (1, *counts, *chain.from_iterable(passed))

    def judge(self, counts: dict[str, int]) -> list[Finding]:
        """A warning for each limit that some example passes."""
        found = []
        unit = "tokens" if self.tokenizer else "tokens (each byte counted as one)"
        for limit in self.limits:
            over, prompts = counts[f"over_{limit}"], counts[f"prompt_over_{limit}"]
            if over:
                message = (
                    f"{over:,} of {counts['examples']:,} examples are longer than {limit:,} "
                    f"{unit}: TRL would cut {over - prompts:,} and drop {prompts:,} (cut "
                    f"{over:,} with the loss on the prompt, too), "
                    f"Axolotl and ms-swift drop {over:,}, LLaMA-Factory cut {over:,}"
                )
                found.append(Finding("length_audit.too_long", message, over))
        return found
