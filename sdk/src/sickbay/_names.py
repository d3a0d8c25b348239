"""Names in a tree are hostile until they are read: what a file may be called, where a link may lead.

fault       why a name is refused; the snapshot leaves out what this refuses, with the same sentence
Folding     which names one file system takes for the same; `probed` asks it
Links       where the links of a tree lead, also through each other; `leads_out`: where one does by itself
steers      files that run code or steer agents: called out, not refused
shown       a name as a page, a log or a terminal may show it
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Mapping
from fnmatch import translate
from typing import NamedTuple

OWN = b".sickbay"
SHOWN = 120
FOLLOWED = 40  # links that a kernel follows in one path
STEPS = 5_000_000  # names that are looked at to judge all links of a tree

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?P<more>[ .:].*)?")
_PLAIN = re.compile(rb"(?![CcPpAaNnLl])[A-Za-z0-9_][A-Za-z0-9_.-]*[A-Za-z0-9_-]|[A-Za-z0-9_-]")
_DRIVE = re.compile(rb"[A-Za-z]:")
_IGNORABLE = dict.fromkeys(
    [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)


class Folding(NamedTuple):
    """What a file system takes for the same name: other case, another normal form."""

    case: bool = False
    form: bool = False

    def key(self, name: bytes) -> str | bytes:
        """Equal for names that are one file here."""
        if not self.case and not self.form:
            return name
        text = name.decode("utf-8", "surrogateescape")
        if self.form:
            text = unicodedata.normalize("NFD", text.translate(_IGNORABLE))
        if self.case:
            text = text.casefold()
        return unicodedata.normalize("NFD", text) if self.form else text


def probed(directory: int) -> Folding:
    """Ask the file system of an open directory, by a file that is gone again afterwards."""
    name, upper, decomposed = "probe-\u00e9", "PROBE-\u00e9", "probe-e\u0301"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name.encode(), dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name.encode(), flags, 0o600, dir_fd=directory))
    try:
        return Folding(_is_there(upper, directory), _is_there(decomposed, directory))
    finally:
        os.unlink(name.encode(), dir_fd=directory)


def _is_there(name: str, directory: int) -> bool:
    try:
        os.stat(name.encode(), dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def fault(name: bytes, folding: Folding) -> str | None:
    """Why a file may not be called that, or None."""
    if _PLAIN.fullmatch(name):
        return None
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        return "cannot be a file's name"
    if b"\\" in name:
        return "holds a backslash, which separates directories elsewhere"
    if _DRIVE.match(name):
        return "begins like a drive"
    folded = _folded(name)
    if folded.rstrip(" .") == ".sickbay" or re.fullmatch(r"sickba~\d", folded):
        return "is Sickbay's own directory"
    device = _DEVICE.fullmatch(folded)
    if device and (folding.case or not (device["more"] or "").strip(" .:")):
        return "is the name of a device elsewhere"
    return _folded_away(name) if folding.case or folding.form else None


def _folded(name: bytes) -> str:
    text = name.decode("utf-8", "surrogateescape").translate(_IGNORABLE)
    return unicodedata.normalize("NFKD", text.casefold()) if not text.isascii() else text.lower()


def _folded_away(name: bytes) -> str | None:
    if name[-1:] in (b".", b" "):
        return "ends with a dot or a space, which this file system drops"
    try:
        name.decode()
    except UnicodeDecodeError:
        return "is no UTF-8, which this file system does not keep"
    return None


def shown(path: bytes, limit: int = SHOWN) -> str:
    """A path without what a terminal, a page or an eye would take for something else; `limit` 0: whole."""
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(map(_printable, text))
    return text if not limit or len(text) <= limit else f"{text[: limit - 1]}…"


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


# ----------------------------------------------------------------------- links


def leads_out(path: bytes, target: bytes) -> bool:
    """Whether a link leaves the workspace by its own words; snapshots leave such a link out."""
    return Links({path: target}).leads_out(path)


class Links:
    """The links of a tree, by their path; `leads_out` follows one in thought, as a kernel would."""

    def __init__(self, targets: Mapping[bytes, bytes]) -> None:
        self._targets = targets
        self._steps = 0

    def leads_out(self, path: bytes) -> bool:
        """Whether this link, or one that it passes through, leaves the workspace."""
        place = path.split(b"/")[:-1]
        ahead = _names_of(self._targets[path])
        if self._targets[path].startswith(b"/"):
            return True
        followed = 1
        while ahead:
            self._count()
            name = ahead.pop()
            if name == b"..":
                if not place:
                    return True
                place.pop()
                continue
            place.append(name)
            target = self._targets.get(b"/".join(place))
            if target is None:
                continue
            followed += 1
            if followed > FOLLOWED:
                return False  # a loop: no kernel follows it anywhere
            if target.startswith(b"/"):
                return True
            place.pop()
            ahead += _names_of(target)
        return False

    def _count(self) -> None:
        self._steps += 1
        if self._steps > STEPS:
            raise ValueError("its links are too tangled to follow")


def _names_of(target: bytes) -> list[bytes]:
    """The names of a target, the last first."""
    return [name for name in reversed(target.split(b"/")) if name not in (b"", b".")]


# -------------------------------------------------------------------- call-outs

_RUN = """.git/hooks/* .git/config .gitmodules .husky/* .github/workflows/* .github/actions/* .gitlab-ci.yml
    .pre-commit-config.yaml .envrc .vscode/tasks.json .vscode/settings.json .devcontainer/* .npmrc *.pth
    sitecustomize.py usercustomize.py conftest.py .bashrc .bash_profile .profile .zshrc .zshenv"""
_STEER = """agents.md agents.override.md claude.md claude.local.md gemini.md skill.md .claude/* .codex/*
    .gemini/* .cursor/* .cursorrules .windsurfrules .clinerules .aider.conf.yml .mcp.json
    .github/copilot-instructions.md"""


def _any_of(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(translate(f"*/{pattern}") for pattern in patterns.split()))


_CALLED_OUT = {"runs code": _any_of(_RUN), "steers agents": _any_of(_STEER)}


def steers(path: bytes) -> str | None:
    """Why a file is called out before it comes back, or None."""
    rooted = "/" + path.decode("utf-8", "replace").translate(_IGNORABLE).lower()
    return next((why for why, pattern in _CALLED_OUT.items() if pattern.match(rooted)), None)
