"""Where a check began to fail, on the page and for programs: found by halving."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, Project, User
from checkpoints import judging
from checkpoints.checks import Check
from checkpoints.models import Checkpoint
from tests import builders
from tests.contract.test_operators_api import Operator, in_shape
from tests.pages import states
from tests.pages.states import HOSTILE, Keeper
from tests.pages.test_compare import words

PAGE = "/p/main/agents/refund-desk/bisect/"
API = "agents/refund-desk/bisect/"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


def took(keeper: Keeper, count: int, bad: int) -> list[Checkpoint]:
    """Checkpoints of which those from `bad` on have another scale, an action before each."""
    made = []
    for n in range(count):
        wire = keeper.taker.wire
        wire.post_events(builders.action(f"act_{n}", at=wire.now()), first=n + 1)
        made.append(keeper.take({"rates": {"scale": 100 if n < bad else 10}, "n": n}, label=f"step {n}"))
    return made


def asks(operator: Operator, **query: str) -> tuple[int, Any]:
    return operator.get(f"{API}?{urlencode(query)}")


def found(client: Client, **query: str) -> str:
    answer = client.get(f"{PAGE}?{urlencode(query)}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_first_that_fails_is_named(signed_in: Client, keeper: Keeper) -> None:
    """With the last that passes, the actions between them, and where to go."""
    made = took(keeper, 9, bad=5)
    html = found(signed_in, path="rates.scale", op="equals", value="100")
    said = words(html)
    for part in ("rates.scale equals 100 fails since", "Last that passes: step 4", "First that fails: step 5",
                 "In between: act_5"):  # fmt: skip
        assert part in said, part
    assert f"{made[4].pk}..{made[5].pk}" in html and f"wrong/?since={made[5].pk}" in html


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"path": "rates.scale", "op": "greater", "value": "1"}, "The newest one passes"),
        ({"path": "rates.scale", "op": "equals", "value": "17"}, "fails already"),
        ({"path": "rates.scale", "op": "greater", "value": "lots"}, "needs a number"),
        ({"path": "rates", "op": "system", "value": "x"}, "Choose one of"),
        ({"path": "[[[", "op": "exists"}, "fails already"),
        ({"path": "x", "op": "exists", "where": "file"}, "fails already"),
        ({"path": HOSTILE, "op": "equals", "value": HOSTILE}, "has such a place"),
        ({"path": "rates.scael", "op": "equals", "value": "100"}, "has such a place"),
    ],
)
def test_what_cannot_be_found_is_said(signed_in: Client, keeper: Keeper, query: Any, said: str) -> None:
    """In words, whatever the address asks."""
    took(keeper, 4, bad=2)
    html = found(signed_in, **query)
    assert said in words(html) and "<img src=x" not in html


def test_without_a_checkpoint_there_is_no_form(signed_in: Client, keeper: Keeper) -> None:
    """The page says so."""
    assert "There is nothing to look for something in." in found(signed_in, path="x", op="exists")


def test_files_are_checked_too(signed_in: Client, keeper: Keeper) -> None:
    """By path, as text; by size; by being there."""
    for n in range(6):
        keeper.take({}, {b"notes.md": b"order 4711\n" if n < 3 else b"tidied\n" * n}, label=f"step {n}")
    for query in ({"op": "contains", "value": "order 4711"}, {"op": "is_not", "value": "tidied\n" * 5}):
        assert "First that fails: step" in words(found(signed_in, where="file", path="notes.md", **query))
    assert "passes" in words(found(signed_in, where="file", path="notes.md", op="longer", value="5"))


def test_a_thousand_are_judged_by_ten(keeper: Keeper) -> None:
    """One query for the line, and log n reads."""
    agent = Agent.objects.get()
    made = took(keeper, 40, bad=29)
    with CaptureQueriesContext(connection) as asked:
        line = judging.bisect(Check("rates.scale", "equals", "100"), made[-1])
    assert line.bad == made[29] and line.good == made[28] and line.found.looks <= 8
    assert len(asked.captured_queries) <= 1 + 8 * 5
    assert agent.pk == made[0].agent_id


def test_a_secret_cannot_be_guessed_at(client: Client, bob: User, keeper: Keeper) -> None:
    """It is judged as it is shown: neither its beginning nor its length is told."""
    keeper.take({"api_key": "none"})
    keeper.take({"api_key": "sk-live-0123456789abcdefghij", "note": "sk-live-0123456789abcdefghij"})
    client.force_login(bob)
    for path in ("api_key", "note"):
        for op, value in (("contains", "sk-live"), ("contains", "0123"), ("longer", "20")):
            html = found(client, path=path, op=op, value=value)
            assert "fails already" in words(html) and html.count("sk-live") <= value.count("sk-live") * 3


def test_one_that_is_damaged_is_gone_around(signed_in: Client, keeper: Keeper) -> None:
    """And told of."""
    made = took(keeper, 9, bad=6)
    Checkpoint.objects.filter(pk=made[4].pk).update(memory=b"\1" * 32)
    said = words(found(signed_in, path="rates.scale", op="equals", value="100"))
    assert "First that fails: step 6" in said and "1 could not be judged: it is damaged" in said


def test_who_may_ask(client: Client, bob: User, charlie: User, keeper: Keeper) -> None:
    """Members; who only watches, too."""
    took(keeper, 2, bad=1)
    path = f"{PAGE}?path=n&op=exists"
    assert client.get(path).status_code == 302
    client.force_login(bob)
    assert client.get(path).status_code == 200 and client.post(path).status_code == 405
    client.force_login(charlie)
    assert client.get(path).status_code == client.get(path.replace("main", "elsewhere")).status_code == 404


def test_programs_ask_the_same(project: Project, keeper: Keeper) -> None:
    """The two, how many were looked at, and a sentence; from a place on, when it is said."""
    made = took(keeper, 9, bad=5)
    operator = Operator(project)
    status, body = asks(operator, path="rates.scale", op="equals", value="100")
    assert (status, body["result"], body["check"]) == (200, "found", "rates.scale equals 100")
    assert (body["bad"]["id"], body["good"]["id"]) == (str(made[5].pk), str(made[4].pk))
    assert body["looks"] <= 6 and body["checkpoints"] == 9 and body["skipped"] == []
    asked = {"path": '["rates","scale"]', "op": "less", "value": "50", "newest": str(made[4].pk)}
    assert asks(operator, **asked)[1]["result"] == "oldest_fails"
    assert asks(operator, **asked, oldest=str(made[2].pk))[1]["checkpoints"] == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422), ({"op": "eval"}, 422), ({"op": "greater", "value": "x"}, 422),
        ({"op": "exists", "newest": "x"}, 422), ({"op": "exists", "instance": "\0"}, 422),
        ({"op": "exists", "newest": "0" * 32}, 404), ({"op": "exists", "oldest": "0" * 32}, 422),
        ({"op": "exists", "instance": "none"}, 404), ({"op": "exists", "path": "x" * 2_000}, 422),
        ({"op": "exists", "where": "file"}, 422),
    ],
)  # fmt: skip
def test_programs_are_told_what_is_wrong(project: Project, keeper: Keeper, query: Any, status: int) -> None:
    """In the shape of every refusal."""
    took(keeper, 2, bad=1)
    found, body = asks(Operator(project), **query)
    assert found == status and in_shape(body)


def test_an_agents_token_and_another_projects_find_nothing(project: Project, keeper: Keeper) -> None:
    """403 and 404."""
    took(keeper, 2, bad=1)
    assert Operator(project, "agent").get(API, op="exists")[0] == 403
    theirs = Operator(builders.make_project("elsewhere"))
    assert theirs.get(API, op="exists")[0] == 404
    mine = Checkpoint.objects.first()
    states.make_keeper(Project.objects.get(name="elsewhere"), "other")
    assert mine and theirs.get("agents/other/bisect/", op="exists", newest=str(mine.pk))[0] == 404


def test_the_history_leads_there(signed_in: Client, keeper: Keeper) -> None:
    """By a link beside the choice of two."""
    keeper.take({})
    html = signed_in.get("/p/main/agents/refund-desk/checkpoints/").content.decode()
    assert re.search(rf'href="{PAGE}"', html)
