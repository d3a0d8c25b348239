"""Laws of the operators' commands before a server that lies: a sentence or safe text, never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sdk.tests.test_operator import Server
from sickbay._cli import main

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\r\u200b"
ID = "0" * 32
AT = "2026-11-26T02:51:07Z"
COMMANDS = [
    ["log", "bot"],
    ["log", "bot", "--oneline", "--graph"],
    ["log", "bot", "--timeline"],
    ["diff", "0000", "0000"],
    ["diff", "bot@good", "--stat"],
    ["show", "0000"],
    ["show", "bot", "."],
    ["show", "bot", "file"],
    ["show", "bot", "memory:x"],
    ["rollback", "bot", "--yes"],
    ["rollback", "bot", "--abort"],
]
SHOWN = [words for words in COMMANDS if words[-1] not in ("file", "memory:x")]
CHECKPOINT = {
    "id": ID, "agent": EVIL, "instance": EVIL, "at": AT, "standing": EVIL, "parent": ID, "label": EVIL,
    "why": EVIL, "proven_by": EVIL, "reason": EVIL, "code": EVIL, "notes": [EVIL], "memory": EVIL,
}  # fmt: skip
ENTRY = {"id": EVIL, "kind": EVIL, "at": AT, "name": EVIL, "outcome": EVIL, "verdict": EVIL, "title": EVIL}
SIDE = {"kind": EVIL, "size": 3, "name": EVIL}
CHANGE = {"op": EVIL, "path": EVIL, "was": EVIL, "old": SIDE}
VALUE = {"op": EVIL, "path": [EVIL, 3], "was": [EVIL], "old": EVIL, "new": {EVIL: [EVIL, f"a\n{EVIL}"]}}
LINES = {**VALUE, "op": "change", "old": "a\nb", "new": f"a\n{EVIL}"}
ROLLBACK = {"id": ID, "instance": EVIL, "state": "ordered", "checkpoint": ID}
EFFECT = {"name": EVIL, "at": AT, "state": EVIL, "key": EVIL}
TOLD: dict[str, dict[str, Any]] = {
    "/diff/": {"memory": [VALUE, LINES], "workspace": [CHANGE], "stats": {"said": [EVIL]}},
    "/blast/": {"checkpoint": ID, "agent": EVIL, "lost": {}, "remarks": [EVIL], "effects": [EFFECT]},
    "/timeline/": {"entries": [ENTRY], "next": None},
    "/withdraw/": {"message": EVIL},
    "/rollbacks/": {"rollbacks": [ROLLBACK], "next": None},
    "/rollback/": {"message": EVIL, "rollbacks": [ROLLBACK], "remarks": [EVIL]},
    "/files/?": {"files": [{"path": EVIL, "kind": EVIL, "target": EVIL}], "next": None},
    "/checkpoints/?": {"checkpoints": [{**CHECKPOINT, "agent": "bot"}], "next": None},
    f"/checkpoints/{ID}/": {**CHECKPOINT, "agent": "bot"},
    "/agents/bot/": {"name": "bot", "status": EVIL, "last_known_good": ID},
}


def lie(path: str) -> tuple[int, dict[str, str], bytes]:
    """The right shape, and each text of it is EVIL."""
    return 200, {}, json.dumps(next(told for part, told in TOLD.items() if part in path)).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.setenv("SICKBAY_URL", found.url)
    monkeypatch.setenv("SICKBAY_OPERATOR_TOKEN", "sb_operator")
    yield found
    found.http.shutdown()
    found.http.server_close()


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(words)
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_no_text_of_a_server_is_obeyed(
    server: Server, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Whatever field it stands in; files go to a pipe as they are, which is what a pipe is for."""
    server.http.says = lie
    code, told = said(words, capsys)
    assert code == 0 and "<U+001B>" in told
    assert not set("\x1b\x07\u202e\u200b\r") & set(told), told


@pytest.mark.parametrize("status", [401, 404, 409, 500])
def test_no_refusal_of_a_server_is_obeyed(
    server: Server, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """128, one sentence, and its words are only words."""
    server.say({"error": EVIL, "message": EVIL, "what_to_do": EVIL}, status)
    code, told = said(["show", "0000"], capsys)
    assert code == 128 and told.count("\n") == 1 and not set("\x1b\x07\u202e\u200b\r") & set(told)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"[" * 50_000, b"\xff", json.dumps({"name": "bot", "status": 3}).encode(),
        json.dumps({"checkpoints": [{**CHECKPOINT, "at": "soon"}], "memory": 3}).encode(),
        json.dumps({"checkpoints": {"id": 1}, "entries": None, "lost": []}).encode(),
    ],
    ids=range(9),
)  # fmt: skip
def test_no_answer_breaks_a_command(
    server: Server, capsys: pytest.CaptureFixture[str], words: list[str], body: bytes
) -> None:
    """It ends with 128 and one sentence, or shows what can be shown."""
    server.say(body)
    code, told = said(words, capsys)
    assert code in (0, 1, 128) and (code != 128 or told.count("fatal: ") == 1)
