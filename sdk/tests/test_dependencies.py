"""Laws of what a checkpoint names beside the state: code, SDK, model, tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.peer import TOKEN, Peer
from sickbay import Agent, RestoreRefused
from sickbay._dependencies import registry_hash, signature_of
from sickbay.testing import Harness


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def search(query: str, limit: int = 10) -> list[str]:
    return [query] * limit


def send(to: str, *, again: Callable[[], bool] = lambda: True) -> None:
    """A default without a repr of its own."""


def test_the_manifest_names_model_and_tools(tmp_path: Path, peer: Peer) -> None:
    """As they were said; nothing where nobody said."""
    agent = Agent(
        "desk", home=tmp_path, url=peer.url, token=TOKEN, memory={}, model="gpt-5.2", code_version="git:1a2b"
    )
    agent.tool(search)
    with agent.run():
        pass
    with Agent("plain", home=tmp_path, url=peer.url, token=TOKEN, memory={}).run():
        pass
    said, plain = (header["manifest"] for header in peer.until(lambda: peer.depot.taken[:2])[:2])
    assert (said["model"], said["code"]) == ("gpt-5.2", "git:1a2b")
    assert said["tools"] == registry_hash({"search": signature_of(search)}) and len(said["tools"]) == 32
    assert (plain["model"], plain["tools"], plain["code"]) == ("", "", "")


def test_the_hash_is_of_names_and_signatures() -> None:
    """Their order does not matter, every name and parameter does."""
    one, two = signature_of(search), signature_of(send)
    assert one == "(query: 'str', limit: 'int' = 10) -> 'list[str]'"
    whole = registry_hash({"search": one, "send": two})
    assert whole == registry_hash({"send": two, "search": one})
    others = [
        {"search": one},
        {"seek": one, "send": two},
        {"search": one.replace("10", "11"), "send": two},
        {},
    ]
    assert len({whole, *map(registry_hash, others)}) == 5


def test_the_hash_is_the_same_in_every_process() -> None:
    """A default's address is no part of it, and what Python cannot tell is no error."""

    def made() -> Any:
        return lambda *, again=lambda: True: again

    assert signature_of(made()) == signature_of(made()) and "0x" not in signature_of(send)
    assert signature_of(type("", (), {"__call__": None, "__signature__": 4})) == "()"


def test_a_shared_workspace_is_kept_and_not_rolled_back(harness: Harness, tmp_path: Path) -> None:
    """The memory goes back, the files stay; a workspace alone cannot go back at all."""
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 1}, workspace=work, shared_workspace=True)
    with agent.run() as run:
        agent.memory["n"], _ = 2, (work / "a.txt").write_text("others wrote this")
        run.rollback()
        assert agent.memory == {"n": 1} and (work / "a.txt").read_text() == "others wrote this"
    other = harness.agent("files", workspace=tmp_path / "more", shared_workspace=True)
    with other.run() as run:
        (tmp_path / "more" / "a.txt").write_text("others wrote this")
        other.memory.clear()
        run.rollback()
        assert (tmp_path / "more" / "a.txt").read_text() == "others wrote this"


def test_the_server_hears_that_a_workspace_is_shared(tmp_path: Path, peer: Peer) -> None:
    """So that it orders no rollback of files; where one comes all the same, it is refused."""
    agent = Agent(
        "desk", home=tmp_path, url=peer.url, token=TOKEN, workspace=tmp_path / "w", shared_workspace=True
    )
    with agent.run() as run:
        assert peer.registers[0]["shared_workspace"] is True
        life: Any = agent._life
        order = life.returns.target(run.checkpoint().id)
        with pytest.raises(RestoreRefused, match="shared with others"):
            next(life.returns.rolling(order, {"id": "c1", "payload": {}}))
