"""What looks like a secret in a state that is shown: by the key it stands under, by its shape, by the words
before it. Pure. The agents' own patterns are the SDK's; these are for readers of the screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MASK = "••••••••"
KEYS = (
    r"pass(?:word|wd|phrase)?|secrets?|(?:api|access|private|signing|encryption)[_-]?keys?|client[_-]?secret"
    r"|(?:access|refresh|auth|id|session|bearer|api|csrf)[_-]?tokens?|token|authorization|cookies?|set-cookie"
    r"|credentials?|pin|cvv|cvc|otp"
)
SHAPES = (
    r"\bsk-[A-Za-z0-9_-]{16,}|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bxox[abeoprs]-[\w-]{10,}"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\b[rs]k_(?:live|test)_\w{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)"
)
_KEY = re.compile(rf"(?:.*[_.-])?(?:{KEYS})\Z", re.I | re.S)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHAPE = re.compile(SHAPES, re.S)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/._~=-]{8,}")
_USERINFO = re.compile(r"(://[^/\s:@\"]*:)[^@\s/\"]+(@)")
_ASSIGNED = re.compile(
    rf"(?i)((?<![A-Za-z])(?:{KEYS})[\"']?[ \t]*[=:][ \t]*)(?!\s*(?:bearer|basic)\s)"
    r"(?:\"(?:[^\"\\\n]|\\.)*\"?|'[^'\n]*'?|[^\s\"',;&}\]]+)"
)


def is_telling(key: str) -> bool:
    """Whether what stands under this key is a secret."""
    return _KEY.match(key[-80:]) is not None or _KEY.match(_CAMEL.sub("_", key[-80:])) is not None


def is_below_telling(path: Iterable[str | int]) -> bool:
    return any(isinstance(step, str) and is_telling(step) for step in path)


def masked(text: str) -> str:
    """The text without what looks like a secret, in as many lines."""
    text = _SHAPE.sub(lambda found: MASK + "\n" * found[0].count("\n"), text)
    text = _BEARER.sub(rf"\1\2{MASK}", text)
    text = _USERINFO.sub(rf"\1{MASK}\2", text)
    return _ASSIGNED.sub(rf"\1{MASK}", text)


def masked_value(value: Any, path: Iterable[str | int] = ()) -> Any:
    """The same for a JSON value that stands at this path; its nesting is bounded by the format."""
    if is_below_telling(path):
        return value if value in (None, "", [], {}) or isinstance(value, bool) else MASK
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        return [masked_value(item) for item in value]
    if isinstance(value, dict):
        return {key: masked_value(item, (key,)) for key, item in value.items()}
    return value
