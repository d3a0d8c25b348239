"""What leaves the host: bounded, clean and masked, before it reaches the spool.

A value becomes JSON (or its repr, where JSON has no word for it); strings lose NUL and lone surrogates,
which no database takes; secrets are replaced by MASK: values under telling keys, values of telling shape,
the agent's own `secret(...)`s, and whatever `Agent(redact=fn)` rewrites. What is longer than its bound
keeps its head, its size and its sha256.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Literal

import orjson

from sickbay._guard import harmless

INPUT, OUTPUT, ERROR, TITLE = 4096, 4096, 2048, 500
MASK = "•••"
MARGIN = 512  # a secret that straddles a cut is masked before the cut

Record = Literal["all", "shape", "none"]

# One search decides whether there may be anything to mask: the common case pays for this alone.
_TELLING = re.compile(
    r"(?i:pass|secret|key|token|auth|cookie|credential|\b(?:pin|cvv|cvc|otp)\b|bearer |basic |://[^/\s:@]*:)"
    r"|sk-|gh[opsur]_|github_pat|xox|A[KS]IA|AIza|glpat|hf_|[rs]k_|eyJ|-----BEGIN"
)
_SURROGATES = re.compile("[\ud800-\udfff\x00]")


class Recorder:
    """What one agent records of a value.

    Args:
        redact: called with each text that is about to be recorded, returns the text to record.
        secrets: answers the literal values that must not leave, asked each time.
    """

    def __init__(
        self, redact: Callable[[str], str] | None = None, secrets: Callable[[], list[str]] | None = None
    ) -> None:
        self._redact = redact
        self._secrets = secrets

    @harmless(None)
    def value(self, value: Any, bound: int, record: Record = "all") -> Any:
        """A value as it stands in an event: None, an orjson.Fragment, or {"head", "size", "sha256"}."""
        if value is None or record == "none":
            return None
        raw = as_json(shape(value) if record == "shape" else value)
        if len(raw) <= bound and not self._custom and not _TELLING.search(raw.decode()):
            return orjson.Fragment(raw)
        if len(raw) > bound:
            return self._cut(raw, bound)
        return self._structured(raw)

    @harmless("")
    def text(self, text: str, bound: int) -> str:
        """A line or a trace: clean, masked, cut with a mark where it was longer."""
        text = clean(text if len(text) <= bound + MARGIN else text[: bound + MARGIN])
        text = self._mask(text)
        return text if len(text) <= bound else text[: bound - 1] + "…"

    @property
    def _custom(self) -> bool:
        return self._redact is not None or self._secrets is not None

    def _cut(self, raw: bytes, bound: int) -> dict[str, Any]:
        from hashlib import sha256  # heavy, and long values are rare

        head = self._mask(raw[: bound + MARGIN].decode(errors="ignore"))
        kept = head.encode()[: bound - 256].decode(errors="ignore")
        return {"head": kept, "size": len(raw), "sha256": sha256(raw).hexdigest()}

    def _structured(self, raw: bytes) -> Any:
        masked = orjson.dumps(self._walk(orjson.loads(raw)))
        if self._redact is None:
            return orjson.Fragment(masked)
        text = self._redacted(masked.decode())
        try:
            return orjson.Fragment(orjson.dumps(orjson.loads(text)))
        except orjson.JSONDecodeError:
            return text[:OUTPUT]

    def _walk(self, value: Any) -> Any:
        is_telling = _patterns().is_telling
        if isinstance(value, str):
            return self._plain(value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return {
                self._plain(k): MASK if v not in (None, "") and is_telling(k) else self._walk(v)
                for k, v in value.items()
            }
        return value

    def _mask(self, text: str) -> str:
        text = self._plain(text)
        return text if self._redact is None else self._redacted(text)

    def _plain(self, text: str) -> str:
        if self._secrets is not None:
            for secret in self._secrets():
                text = text.replace(secret, MASK)
        if not _TELLING.search(text):
            return text
        return str(_patterns().masked(text))

    def _redacted(self, text: str) -> str:
        assert self._redact is not None
        try:
            answer = self._redact(text)
        except Exception as error:
            return f"(not recorded: redact raised {type(error).__name__})"
        return clean(answer) if isinstance(answer, str) else "(not recorded: redact returned no text)"


def _patterns() -> Any:
    from sickbay import _patterns  # compiled only where something looks telling

    return _patterns


def as_json(value: Any) -> bytes:
    """Clean JSON of anything; what JSON has no word for stands as its repr."""
    try:
        raw = orjson.dumps(value, default=_shown, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_cleaned(value, 0), default=_shown)
    # A NUL is legal in JSON and in no database.
    return orjson.dumps(_cleaned(orjson.loads(raw), 0)) if b"\\u0000" in raw else raw


def clean(text: str) -> str:
    """Text without NUL and lone surrogates."""
    return _SURROGATES.sub("\ufffd", text)


def shape(value: Any, depth: int = 0) -> Any:
    """What a value is made of, without any of it: types, lengths, keys."""
    if isinstance(value, dict):
        if depth >= 4 or len(value) > 50:
            return f"object of {len(value)}"
        return {str(k): shape(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [f"{len(value)} of", shape(value[0], depth + 1)] if value else []
    if isinstance(value, (str, bytes)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _shown(value: Any) -> str:
    try:
        return clean(repr(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _cleaned(value: Any, depth: int) -> Any:
    """The slow way: for surrogates, NUL, big ints, cycles, odd keys."""
    if depth > 50:
        return "(nested deeper than 50)"
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else _shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {
            clean(k if isinstance(k, str) else _shown(k)): _cleaned(v, depth + 1) for k, v in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_cleaned(item, depth + 1) for item in value]
    return _shown(value)


def _shown_key(key: Any) -> str:
    return clean(key) if isinstance(key, str) else _shown(key)
