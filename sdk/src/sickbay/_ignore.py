"""What of a workspace a snapshot leaves alone: rules in the syntax of .gitignore.

`DEFAULTS` come first, then what `Agent(ignore=[…])` says, then `.sickbayignore` in the workspace itself; the
last rule that matches a name decides, and `!` takes it back. A directory that is left alone is not entered.
`.sickbay` is ours (stage and journal) and is never part of a snapshot, whatever a rule says.

Not there, beside what git has: rules files in other directories, and classes such as `[[:alpha:]]`. A rule
that cannot be read is named in the notes of the snapshot, and matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FILENAME = ".sickbayignore"
OURS = ".sickbay"
LONGEST, MOST, WILD = 255, 1_000, 3  # bytes of a rule, rules, and `**` in one rule

# What makes itself again, what belongs to a tool of its own, and what must not leave the host.
DEFAULTS = (
    *(".git", ".hg", ".svn", ".venv/", "venv/", "node_modules/", "__pycache__/", "*.py[co]"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/", ".tox/", ".nox/", ".ipynb_checkpoints/"),
    *(".DS_Store", "*.swp", ".env", ".env.*", "!.env.example", "*.pem", "id_rsa", "id_ed25519"),
    *(".netrc", ".ssh/", ".aws/"),
)


class BadRule(ValueError):
    """A line that is no rule."""


class Rules:
    """Rules in their order; `faults` names those that cannot be read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.faults: list[str] = []
        self._verdicts: list[bool] = []
        files, folders = [], []
        for line in lines:
            try:
                rule = _rule(line)
                if rule and len(self._verdicts) >= MOST:
                    raise BadRule(f"at most {MOST:,} rules are read")
            except BadRule as bad:
                self.faults.append(f"the rule {line[:60].decode(errors='replace')!r} is not used: {bad}")
                continue
            if rule:
                pattern, folders_only, ignores = rule
                self._verdicts.append(ignores)
                files.append(b"(?!)" if folders_only else pattern)
                folders.append(pattern)
        self._files, self._folders = _either(files), _either(folders)
        self._verdicts.reverse()

    def ignores(self, path: bytes, is_directory: bool) -> bool:
        """Whether this name is left alone. Its directories are the caller's to ask for, from the top."""
        found = (self._folders if is_directory else self._files).fullmatch(path)
        return bool(found and found.lastindex and self._verdicts[found.lastindex - 1])


def _either(patterns: list[bytes]) -> re.Pattern[bytes]:
    """One expression; the last rule stands first, so the group that matched is the one that decides."""
    return re.compile(
        b"|".join(b"(" + pattern + b")" for pattern in reversed(patterns)) or b"(?!)", re.DOTALL
    )


def _rule(line: bytes) -> tuple[bytes, bool, bool] | None:
    """The expression, whether it is about directories only, and whether it ignores; None for no rule."""
    line = line.rstrip(b"\r\n")
    line = re.sub(rb"(?<!\\) +$", b"", line)
    if not line or line.startswith(b"#"):
        return None
    ignores = not line.startswith(b"!")
    line = line if ignores else line[1:]
    folders_only = line.endswith(b"/")
    line = line.removesuffix(b"/")
    if not line.strip(b"/"):
        return None
    if len(line) > LONGEST or line.count(b"**") > WILD:
        raise BadRule(f"it has more than {LONGEST} bytes or more than {WILD} `**`")
    return _expression(line), folders_only, ignores


def _expression(rule: bytes) -> bytes:
    anchored = b"/" in rule
    segments = rule.removeprefix(b"/").split(b"/")
    out = b"" if anchored else b"(?:.*/)?"
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == b"**" and anchored:
            out += b".+" if last else b"(?:.*/)?"
        else:
            out += _segment(segment) + (b"" if last else b"/")
    return out


def _segment(glob: bytes) -> bytes:
    """What lies between two slashes. Every star but the last is done with once what follows it was found."""
    chunks = _chunks(glob)
    if len(chunks) == 1:
        return chunks[0]
    middle = b"".join(b"(?>[^/]*?" + chunk + b")" for chunk in chunks[1:-1] if chunk)
    return chunks[0] + middle + b"[^/]*" + chunks[-1]


_TOKEN = re.compile(rb"\\(?s:(.))|(\[[!^]?\]?(?:\\.|[^\]\\])*\])|(\*+)|(\?)|(?s:([^\\\[*?]))")


def _chunks(glob: bytes) -> list[bytes]:
    """The expressions between the stars."""
    chunks, at = [b""], 0
    while at < len(glob):
        token = _TOKEN.match(glob, at)
        if not token:
            raise BadRule("a bracket or a backslash stands alone")
        escaped, letters, stars, one, plain = token.groups()
        at = token.end()
        if stars:
            chunks.append(b"")
        else:
            chunks[-1] += _class(letters) if letters else b"[^/]" if one else re.escape(escaped or plain)
    return chunks


def _class(letters: bytes) -> bytes:
    if b"[:" in letters or b"[." in letters or b"[=" in letters:
        raise BadRule("named classes are not known")
    inner = letters[1:-1]
    excluded = inner[:1] in (b"!", b"^")
    inner = re.sub(rb"\\?([\[\]&~|^])", rb"\\\1", inner[1:] if excluded else inner)
    try:
        re.compile(b"[" + inner + b"]")
    except re.error:
        raise BadRule("its letters are in no order") from None
    return b"(?!/)[" + (b"^" if excluded else b"") + inner + b"]"
