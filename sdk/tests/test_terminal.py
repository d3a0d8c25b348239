"""Laws of what commands print: a terminal shows it and obeys none of it."""

from __future__ import annotations

import io
import sys

import pytest

from sickbay._shell.terminal import Screen, pager, safe, safe_lines, wants_colour

HIDDEN = "\x1b\x07\x9b\r\b\u202e\u200b\ufeff\x00\ud800\U000e0041\u2028\u3164\x7f\u2066\u2069"
HOSTILE = [
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\bb", "\u202egnp.exe",
    "a\u200bb", "\ufeff", "\x00", "\ud800",
    "\U000e0041", "\u2028", "\u3164", "\x7f", "\u2066x\u2069",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_character_is_obeyed(text: str) -> None:
    """What is not seen stands there as its code point, in lines and in blocks."""
    for said in (safe(text), safe_lines(text)):
        assert not set(text) & set(HIDDEN) & set(said) and "<U+" in said and said != text


def test_what_is_text_stays() -> None:
    """Letters of any script, and in blocks the ends of lines."""
    assert safe("Grüße, 漢字, עברית 🙂") == "Grüße, 漢字, עברית 🙂"
    assert safe_lines("a\n\tb\n") == "a\n\tb\n" and safe("a\nb") == "a<U+000A>b"
    assert len(safe("x" * 100_000)) < 30_000 and safe(b"\xff".decode(errors="surrogateescape")) == "\\xff"


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for who does not refuse it; `always` means it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour("auto", Terminal()) and not wants_colour("auto", io.StringIO())
    assert wants_colour("always", io.StringIO()) and not wants_colour("never", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour("auto", Terminal()) and wants_colour("always", Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour("auto", Terminal())


def test_a_style_surrounds_what_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """The only escapes are ours."""
    screen = Screen("always")
    screen.line(("\x1b[31mred", "bold green"), " and \x1b")
    screen.close()
    assert capsys.readouterr().out == "\x1b[1;32m<U+001B>[31mred\x1b[m and <U+001B>\n"


def test_the_pager_is_the_readers_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """SICKBAY_PAGER before PAGER before less; `cat` and nothing are none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("SICKBAY_PAGER", raising=False)
    monkeypatch.delenv("PAGER", raising=False)
    assert pager() == "less"
    monkeypatch.setenv("PAGER", "most")
    assert pager() == "most"
    for none in ("", "cat"):
        monkeypatch.setenv("SICKBAY_PAGER", none)
        assert pager() is None
    assert sys.stdout is not None
