"""Standard output with the manners of git's: a pager and colour on a terminal alone, and nothing unseen.

Whatever is printed here may have been written by an agent, so no character of it is obeyed by a terminal:
escapes, controls, and those that are not seen or turn others around stand there as their code point.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

LONGEST = 20_000
UNSEEN = (
    "\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSEEN = re.compile(f"[{UNSEEN}]")
_UNSEEN_IN_LINE = re.compile(f"[{UNSEEN}\t\n]")
CODES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35",
    "cyan": "36",
}  # fmt: skip
Span = str | tuple[str, str]


def safe(text: object, longest: int = LONGEST) -> str:
    """One line of text that a terminal shows and does not obey."""
    said = str(text)
    if len(said) > longest:
        said = said[:longest] + "…"
    return _UNSEEN_IN_LINE.sub(_code, said)


def safe_lines(text: str) -> str:
    """The same for text of several lines: ends of lines and tabs stay."""
    return _UNSEEN.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    point = ord(found[0])
    return f"\\x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else f"<U+{point:04X}>"


def wants_colour(when: str, stream: IO[str]) -> bool:
    """`when` is auto, always or never; NO_COLOR and a terminal without any colour are honoured by auto."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Screen:
    """Lines to standard output, through the pager where there is a terminal and someone wants one."""

    def __init__(self, colour: str = "auto", *, paged: bool = True) -> None:
        self._colour = wants_colour(colour, sys.stdout)
        self._wanted = pager() if paged and sys.stdout.isatty() else None
        self._pager: subprocess.Popen[str] | None = None

    def line(self, *spans: Span) -> None:
        """One line: texts, or (text, style) with styles like `red` or `bold green`."""
        self._out.write("".join(map(self._span, spans)) + "\n")

    def source(self, line: str, style: str = "") -> None:
        """A line of someone's file: its tabs stay, and the other half of its end."""
        end = "\r" if line.endswith("\r") else ""
        said = _UNSEEN.sub(_code, line.removesuffix("\r").replace("\n", "\u2028"))
        codes = ";".join(CODES[word] for word in style.split())
        coloured = f"\033[{codes}m{said}\033[m" if self._colour and codes else said
        self._out.write(f"{coloured}{end}\n")

    def block(self, text: str) -> None:
        """Text of several lines."""
        self._out.write(safe_lines(text) + ("" if text.endswith("\n") or not text else "\n"))

    def raw(self, data: bytes) -> None:
        """Bytes as they are; for what is no terminal."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Give the pager its end and wait until it is read; a terminal is its own until then."""
        if self._pager is None:
            sys.stdout.flush()
            return
        with contextlib.suppress(OSError, ValueError):
            assert self._pager.stdin is not None
            self._pager.stdin.close()
        with _ignoring_interrupts():
            self._pager.wait()

    @property
    def is_paged(self) -> bool:
        return self._pager is not None

    def _span(self, span: Span) -> str:
        if isinstance(span, str):
            return safe(span)
        text, style = span
        codes = ";".join(CODES[word] for word in style.split())
        return f"\033[{codes}m{safe(text)}\033[m" if self._colour and codes and text else safe(text)

    @property
    def _out(self) -> IO[str]:
        if self._pager is None and self._wanted:
            self._pager = _started(self._wanted)
            self._wanted = None
        if self._pager is not None and self._pager.stdin is not None:
            return self._pager.stdin
        return sys.stdout


def pager() -> str | None:
    """The command that pages; `cat` and nothing are none."""
    named = next((os.environ[name] for name in ("SICKBAY_PAGER", "PAGER") if name in os.environ), "less")
    return None if named.strip() in ("", "cat") or os.environ.get("TERM") == "dumb" else named


def _started(command: str) -> subprocess.Popen[str] | None:
    """The pager; None when there is none on this machine."""
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    words = shlex.split(command) if re.fullmatch(r"[\w\s./+=-]+", command) else ["/bin/sh", "-c", command]
    sys.stdout.flush()
    try:
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, env=environment, encoding="utf-8", errors="replace"
        )
    except OSError:
        return None


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Ctrl-C is the pager's now: it goes on or ends as it likes."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        before = None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
