"""Text that agents sent, shown as what it is: characters that are not seen, or that turn others around, stand
there as their code point, and nothing in a text changes the direction of what surrounds it.

Joiners stay invisible where scripts and emoji need them; between Latin letters they are shown.
"""

from __future__ import annotations

import re
import unicodedata

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

JOINERS = "\u200c\u200d"
JOINED = frozenset({"Lo", "Mn", "So", "Sk"})
HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028"
    "-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
IN_NAMES = re.compile(HIDDEN.pattern[:-1] + "\t\n]")


def said(text: object, hidden: re.Pattern[str] = HIDDEN) -> SafeString:
    """The text, escaped, set apart from its surroundings, its unseen characters visible."""
    whole = "" if text is None else str(text)
    if whole.isascii() and not hidden.search(whole):
        return mark_safe(f"<bdi>{escape(whole)}</bdi>")
    parts, end = [], 0
    for found in hidden.finditer(whole):
        if found[0] in JOINERS and found.start() and unicodedata.category(whole[found.start() - 1]) in JOINED:
            continue
        parts += [escape(whole[end : found.start()]), _shown(found[0])]
        end = found.end()
    return mark_safe(f"<bdi>{''.join([*parts, escape(whole[end:])])}</bdi>")


def named(name: bytes | str) -> SafeString:
    """A file's name: whatever bytes it has are seen, ends of lines and tabs too, none of them twice alike."""
    return said(decoded(name), IN_NAMES)


def plain(text: object) -> str:
    """The same for titles and labels, where no markup can be: code points in angle brackets."""
    return HIDDEN.sub(lambda found: f"⟨{_code(found[0])}⟩", "" if text is None else str(text))


def plain_name(name: bytes | str) -> str:
    return IN_NAMES.sub(lambda found: f"⟨{_code(found[0])}⟩", decoded(name))


def decoded(name: bytes | str) -> str:
    """Bytes that are no UTF-8 as the code points that stand for them."""
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _shown(character: str) -> str:
    name = unicodedata.name(character, "control character")
    return f'<span class="unseen" title="{escape(name.lower())}">{_code(character)}</span>'


def _code(character: str) -> str:
    """A byte that is no text stands in a string as U+DC80 to U+DCFF."""
    point = ord(character)
    return f"\\x{point - 0xDC00:02X}" if 0xDC80 <= point <= 0xDCFF else f"U+{point:04X}"
