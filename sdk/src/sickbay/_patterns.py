"""What secrets look like: by the key they stand under, by their shape, by the sentence around them.

Loaded only where something looks telling, because compiling them costs an import five milliseconds.
"""

from __future__ import annotations

import re

MASK = "•••"
KEYS = (
    r"pass(?:word|wd|phrase)?|secrets?|api[_-]?keys?|access[_-]?keys?|private[_-]?keys?|client[_-]?secret"
    r"|(?:access|refresh|auth|id|session|bearer|api|csrf)[_-]?tokens?|token|authorization|cookies?|set-cookie"
    r"|credentials?|pin|cvv|cvc|otp"
)
SHAPES = (
    r"\bsk-[A-Za-z0-9_-]{16,}|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bxox[abeoprs]-[\w-]{10,}"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\b[rs]k_(?:live|test)_\w{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|\Z)"
)
KEY = re.compile(rf"(?:.*[_.-])?(?:{KEYS})\Z", re.I | re.S)
SHAPE = re.compile(SHAPES, re.S)
BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/._~=-]{8,}")
USERINFO = re.compile(r"(://[^/\s:@\"]*:)[^@\s/\"]+(@)")
ASSIGNED = re.compile(
    rf"(?i)((?<![A-Za-z])(?:{KEYS})[\"']?\s*[=:]\s*)(?!\s*(?:bearer|basic)\s)(?:\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s\"',;&}}\]]+)"
)


def is_telling(key: str) -> bool:
    """Whether what stands under this key is a secret."""
    return KEY.match(key) is not None


def masked(text: str) -> str:
    """The text without what looks like a secret."""
    text = SHAPE.sub(MASK, text)
    text = BEARER.sub(rf"\1\2{MASK}", text)
    text = USERINFO.sub(rf"\1{MASK}\2", text)
    return ASSIGNED.sub(rf"\1{MASK}", text)
