"""The routes to what is in a checkpoint: its memory and its files, masked, bounded, and never inline."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from django.test import Client

from agents.models import AuditEntry, Project
from checkpoints import contents
from checkpoints.models import Checkpoint
from sickbay.tree.directory import SYMLINK, Entry
from tests.contract.test_operators_api import Operator, in_shape
from tests.pages import states
from tests.pages.states import Keeper

pytestmark = pytest.mark.django_db
SECRET = "sk-live-0123456789abcdefghij"
MEMORY = {
    "messages": [{"role": "user", "content": f"the key is {SECRET}"}, {"role": "tool", "3": "three"}],
    "api_key": SECRET,
    "a.b": {"z": -0.0, "a": 10**30},
}


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


@pytest.fixture
def operator(project: Project) -> Operator:
    return Operator(project)


def read(operator: Operator, checkpoint: Checkpoint, rest: str, **query: Any) -> HttpResponse:
    address = f"/api/v1/checkpoints/{checkpoint.pk}/{rest}"
    answer: HttpResponse = operator.client.get(address, query, headers=operator.headers)
    return answer


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.1.role", b'"tool"'),
        ('["messages",1,"role"]', b'"tool"'),
        ("messages.1.3", b'"three"'),
        ('["a.b"]', b'{"z":-0.0,"a":1000000000000000000000000000000}'),
        ("", None),
    ],
)
def test_a_place_in_a_memory_is_read(
    operator: Operator, keeper: Keeper, path: str, value: bytes | None
) -> None:
    """By dots or by JSON, in the checkpoint's own spelling."""
    taken = keeper.take(MEMORY)
    answer = read(operator, taken, "memory/", path=path)
    assert answer.status_code == 200 and answer["Content-Type"] == "application/json"
    assert value is None or answer.content == value
    assert list(json.loads(answer.content)) == list(MEMORY) or path


def test_secrets_are_masked_until_they_are_revealed(operator: Operator, keeper: Keeper) -> None:
    """By key and by shape, in memory and files; revealing is in the audit log, with no value."""
    taken = keeper.take(MEMORY, {b".env": f"TOKEN=hunter2hunter2\nA={SECRET}\n".encode()})
    for rest in ("memory/", "files/.env"):
        masked = read(operator, taken, rest)
        assert SECRET.encode() not in masked.content and b"hunter2" not in masked.content
        assert masked["Sickbay-Masked"] == "1"
    assert json.loads(read(operator, taken, "memory/", path="api_key").content) != SECRET
    assert not AuditEntry.objects.filter(verb="reveal secret").exists()
    for rest, path in (("memory/", "messages.0"), ("files/.env", "")):
        revealed = read(operator, taken, rest, path=path, reveal="1")
        assert SECRET.encode() in revealed.content and revealed["Sickbay-Masked"] == "0"
    kept = [entry.saw for entry in AuditEntry.objects.filter(verb="reveal secret").order_by("pk")]
    assert kept == [{"of": "memory messages.0"}, {"of": ".env"}] and SECRET not in str(kept)


def test_nothing_is_ever_inline(operator: Operator, keeper: Keeper) -> None:
    """A page that an agent wrote is a download of bytes that no browser opens or keeps."""
    taken = keeper.take({"html": "<script>"}, {b"index.html": b"<script>alert(1)</script>"})
    for rest in ("memory/", "files/index.html"):
        answer = read(operator, taken, rest)
        assert answer["Content-Disposition"] == "attachment" and answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff" and "html" not in answer["Content-Type"]


def listing(operator: Operator, checkpoint: Checkpoint, **query: Any) -> list[dict[str, Any]]:
    """All pages."""
    found, before = [], {}
    while True:
        status, body = operator.get(f"checkpoints/{checkpoint.pk}/files/", **query, **before)
        assert status == 200, body
        found += body["files"]
        if body["next"] is None:
            return found
        before = {"before": body["next"]}


def test_files_are_listed_and_read_by_the_same_path(operator: Operator, keeper: Keeper) -> None:
    """Whatever bytes their names have; links say where they lead, empty directories are there."""
    files = {
        b"a": {b"deep": {b"er.txt": b"1"}, b"z": b"2"},
        b"a-b": b"3",
        b"new\nline?#%41": b"4",
        b"\xff\xfe": b"5",
        b"empty": {},
        b"link": Entry(b"", SYMLINK, body=b"a/z"),
        b"big": {f"{n:03}".encode(): str(n).encode() for n in range(100)},
    }
    taken = keeper.take({"n": 1}, files)
    found = listing(operator, taken, limit=7)
    assert found == listing(operator, taken, limit=500) and len(found) == 107
    paths = [one["path"] for one in found]
    assert len(set(paths)) == len(paths) and {"a/deep/er.txt", "a-b", "\\xff\\xfe", "link"} <= set(paths)
    assert {one["kind"] for one in found} == {"file", "link", "directory"}
    for path, data in (
        ("a/deep/er.txt", b"1"),
        ("new\nline?#%41", b"4"),
        ("\\xff\\xfe", b"5"),
        ("link", b"a/z"),
    ):
        assert read(operator, taken, f"files/{quote(path, safe='')}").content == data, path
    below = listing(operator, taken, under="a/", limit=1)
    assert [one["path"] for one in below] == ["a/deep/er.txt", "a/z"]


@pytest.mark.parametrize(
    ("rest", "query", "status", "error"),
    [
        ("memory/", {"path": "nothing"}, 404, "not_found"),
        ("memory/", {"path": "[1,"}, 422, "invalid"),
        ("memory/", {"path": "[true]"}, 422, "invalid"),
        ("memory/", {"path": ".".join("9" * 81)}, 422, "invalid"),
        ("files/none", {}, 404, "not_found"),
        ("files/../f", {}, 404, "not_found"),
        ("files/d", {}, 422, "a_directory"),
        ("files/", {"under": "f"}, 404, "not_found"),
        ("files/", {"before": "!"}, 422, "invalid"),
        ("files/b", {}, 409, "not_text"),
    ],
)
def test_what_is_not_there_is_said(
    operator: Operator, keeper: Keeper, rest: str, query: dict[str, str], status: int, error: str
) -> None:
    """In the shape of every refusal; never a 500."""
    taken = keeper.take({"n": 1}, {b"f": b"1", b"d": {b"x": b"2"}, b"b": b"\0bin"})
    answer = read(operator, taken, rest, **query)
    body = json.loads(answer.content)
    assert (answer.status_code, body["error"]) == (status, error) and in_shape(body)


def test_what_is_too_large_is_refused_before_it_is_loaded(
    operator: Operator, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its size; a part of it is answered."""
    taken = keeper.take({"a": ["x" * 100] * 20, "b": 1}, {b"f": b"y" * 2_000})
    monkeypatch.setattr(contents, "MOST_MASKED", 1_000)
    for rest in ("memory/", "files/f"):
        answer = read(operator, taken, rest)
        assert (answer.status_code, json.loads(answer.content)["error"]) == (413, "too_large")
    assert read(operator, taken, "memory/", path="b").content == b"1"
    assert len(read(operator, taken, "files/f", reveal="1").content) == 2_000


def test_a_workspace_without_end_is_refused(
    operator: Operator, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories that share what is in them are many in few bytes; they are walked only so far."""
    inside: dict[bytes, Any] = {b"x": {}}
    for _ in range(7):
        inside = {b"a": inside, b"b": inside}
    monkeypatch.setattr(contents, "MOST_DIRECTORIES", 20)
    taken = keeper.take({"n": 1}, inside)
    status, body = operator.get(f"checkpoints/{taken.pk}/files/", limit=500)
    assert (status, body["error"]) == (409, "damaged")


def test_another_projects_checkpoint_is_not_there(keeper: Keeper) -> None:
    """404, whatever is asked for; an agent's token reads nothing."""
    taken = keeper.take(MEMORY, {b"f": b"1"})
    outside = Operator(Project.objects.create(name="elsewhere"))
    agent = Operator(Project.objects.get(name="main"), scope="agent")
    for rest in ("memory/", "files/", "files/f"):
        assert read(outside, taken, rest).status_code == 404
        assert read(agent, taken, rest).status_code == 403
        assert Client().get(f"/api/v1/checkpoints/{taken.pk}/{rest}").status_code == 401
    assert outside.get("checkpoints/", prefix=str(taken.pk)[:8])[1]["checkpoints"] == []


def test_a_checkpoint_is_found_by_how_its_id_begins(operator: Operator, keeper: Keeper) -> None:
    """At least four digits, with or without dashes; all that begin so."""
    taken = keeper.take({"n": 1})
    keeper.take({"n": 2})
    for prefix in (str(taken.pk)[:8], taken.pk.hex[:12], str(taken.pk)[:13], str(taken.pk)):
        status, body = operator.get("checkpoints/", prefix=prefix)
        assert status == 200 and str(taken.pk) in [one["id"] for one in body["checkpoints"]]
    for wrong in ("abc", "zzzz", "----", "a" * 37):
        assert operator.get("checkpoints/", prefix=wrong)[0] == 422
