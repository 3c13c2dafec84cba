"""Passwords and tokens: known by their look, or as values of this process's environment.

They belong into the environment, or into the store of the tool they are for: never into a recipe,
a path or an option, all of which a build records and messages repeat.
"""

from __future__ import annotations

import os
import re

from dollymix.text import printable

HIDDEN = "[hidden]"

# Each: what stays, then the secret. Every repetition has a bound, so that none costs more than
# its share of a long text.
_PATTERNS = (
    # scheme://user:password@host; a path may have lost a slash. host:8080/a@b is none.
    re.compile(r"(:/{1,2})[^\s/:@]{0,256}:(?!\d{1,5}/)[^\s@]{1,256}@"),
    re.compile(r"(https?:/{1,2})[^\s/@]{1,256}@"),
    re.compile(
        r"([?&](?:access_token|token|api_?key|key|password|secret|sig|signature|x-amz-signature"
        r"|x-amz-credential|x-amz-security-token)=)[^\s&#]{8,4096}",
        re.IGNORECASE,
    ),
    # The tokens of Hugging Face, GitHub, GitLab, AWS, Google, Slack, OpenAI and Anthropic.
    re.compile(
        r"((?<![A-Za-z0-9]))(?:hf_[A-Za-z0-9]{20,256}|gh[pousr]_[A-Za-z0-9]{20,256}"
        r"|github_pat_\w{20,256}|glpat-[\w-]{20,256}|(?:AKIA|ASIA)[A-Z0-9]{16}"
        r"|AIza[\w-]{35}|xox[abprs]-[\w-]{10,256}|sk-(?:(?:proj|ant)-[\w-]{20,256}"
        r"|[A-Za-z0-9]{20,256}))",
    ),
)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|SECRET_ACCESS_KEY)$", re.IGNORECASE
)
# A shorter value may be a plain word, which must not be cut out of messages.
_LEAST = 16


def holds_secret(text: str) -> bool:
    """True where the text holds what looks like a password or token, or one of this process's."""
    return without_secrets(text) != text


def without_secrets(text: str) -> str:
    """The text with every password and token hidden."""
    for name, value in os.environ.items():
        if len(value) >= _LEAST and value in text and _SECRET_NAME.search(name):
            text = text.replace(value, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def told(text: str) -> str:
    """What a user gave (a path, a value, a name), for a message: safe to print, without secrets."""
    return printable(without_secrets(text))
