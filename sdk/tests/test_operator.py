"""Laws of the operators' client: it follows pages, names what is wrong, and believes nothing by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sickbay._errors import BadArgument, SickbayError, TokenRefused
from sickbay._operator import File, Operator
from sickbay._shell import told
from sickbay._wire import NotAnswered, NotSickbay, Refused


class Answers(BaseHTTPRequestHandler):
    """Says what the test has put there, by path without query, and keeps what it was asked."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        status, headers, body = server.says(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    def __init__(self) -> None:
        self.http: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.http.daemon_threads = True
        self.http.asked = self.asked = []
        self.http.says = lambda path: (404, {}, b"")
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def say(self, body: Any, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.http.says = lambda path: (status, headers, raw)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def operator(server: Server) -> Operator:
    return Operator(server.url, "sb_operator")


def agent(name: str) -> dict[str, Any]:
    return {"name": name, "status": "running", "last_known_good": None}


def test_a_list_is_read_page_by_page_as_it_is_wanted(server: Server, operator: Operator) -> None:
    """`next` becomes `before`; a page that nobody reaches is not asked for."""
    pages = {"": ("a", "x"), "x": ("b", "y"), "y": ("c", None)}

    def says(path: str) -> tuple[int, dict[str, str], bytes]:
        name, following = pages[path.partition("before=")[2]]
        return 200, {}, json.dumps({"agents": [agent(name)], "next": following}).encode()

    server.http.says = says
    rows = operator.each("agents/", "agents", told.Agent, limit=1)
    assert next(rows).name == "a" and len(server.asked) == 1
    assert [one.name for one in rows] == ["b", "c"] and len(server.asked) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"[]", b"null", b'{"agents": 3}', b'{"agents": [3]}',
        b'{"agents": [{"name": 1, "status": 2}]}',
        b'{"agents": [], "next": 3}', b"[" * 100_000, b'{"agents": [{"name": "a", "status": "\xff"}]}', b"",
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_not_sickbay(server: Server, operator: Operator, body: bytes) -> None:
    """Whatever it is, it is said in a sentence."""
    server.say(body)
    with pytest.raises(NotSickbay, match="not as Sickbay does"):
        list(operator.each("agents/", "agents", told.Agent))


def test_a_list_without_end_ends(server: Server, operator: Operator) -> None:
    """A `next` that leads to itself is not followed."""
    server.say({"agents": [agent("a")], "next": "same"})
    assert len(list(operator.each("agents/", "agents", told.Agent))) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (403, {"error": "wrong_scope"}, TokenRefused, "this is an agent's token"),
        (401, {"error": "no_token"}, TokenRefused, "knows no such token"),
        (404, {"error": "not_found", "message": "No such agent."}, Refused, "No such agent."),
        (404, b"<h1>nginx</h1>", NotSickbay, "not as Sickbay"),
        (302, b"", NotSickbay, "redirects to http://elsewhere"),
        (503, {"error": "unavailable"}, NotAnswered, "503"),
    ],
)
def test_every_refusal_is_a_sentence(
    server: Server, operator: Operator, status: int, body: Any, kind: type[SickbayError], words: str
) -> None:
    """And the token goes to one host, whatever that host says."""
    server.say(body, status, Location="http://elsewhere")
    with pytest.raises(kind, match=words):
        operator.get("agents/x/", told.Agent)
    assert len(server.asked) == 1


def test_a_part_is_bytes(server: Server, operator: Operator) -> None:
    """With whether something in it was masked; its path is written so that it arrives."""
    server.say(b"\0\xff", **{"Sickbay-Masked": "1"})
    assert operator.file("3f2a", "a b/c?d#e\n%") == (b"\0\xff", True)
    assert server.asked[-1] == "/api/v1/checkpoints/3f2a/files/a%20b/c%3Fd%23e%0A%25"
    operator.memory("3f2a", "messages.3", reveal=True)
    assert server.asked[-1] == "/api/v1/checkpoints/3f2a/memory/?path=messages.3&reveal=1"
    for wrong in ("../x", "/etc/passwd", "a//b", "."):
        with pytest.raises(BadArgument):
            operator.file("3f2a", wrong)


def test_files_are_listed(server: Server, operator: Operator) -> None:
    """As the server tells them."""
    server.say({"files": [{"path": "a", "kind": "file", "size": 3, "name": "9f"}], "next": None})
    assert list(operator.files("3f2a", under="b")) == [File("a", "file", 3, "9f")]


def test_an_answer_without_end_is_cut(
    server: Server, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is not what a server may choose."""
    monkeypatch.setattr("sickbay._operator.JSON_LIMIT", 1_000)
    server.say({"name": "x" * 2_000, "status": ""})
    with pytest.raises(NotAnswered, match="more than 1000 bytes"):
        operator.get("agents/x/", told.Agent)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address and a token, from the environment or by hand; the operator's goes first."""
    for name in ("SICKBAY_URL", "SICKBAY_TOKEN", "SICKBAY_OPERATOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadArgument, match="SICKBAY_URL"):
        Operator()
    monkeypatch.setenv("SICKBAY_URL", "http://127.0.0.1:1")
    with pytest.raises(BadArgument, match="SICKBAY_OPERATOR_TOKEN"):
        Operator()
    monkeypatch.setenv("SICKBAY_TOKEN", "sb_agent")
    assert Operator()._wire.token == "sb_agent"
    monkeypatch.setenv("SICKBAY_OPERATOR_TOKEN", "sb_operator")
    assert Operator()._wire.token == "sb_operator"
    with pytest.raises(NotAnswered):
        Operator().get("agents/", dict)
