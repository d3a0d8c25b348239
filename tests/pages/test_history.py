"""An agent's checkpoints: who sees them, as which tree, by pages; and what a person may say of one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, AuditEntry, Project, User
from checkpoints.models import Checkpoint
from checkpoints.services import verifying
from dashboard import gutter
from dashboard.phrasing import MINUS
from tests.pages import states
from tests.pages.states import Keeper
from tests.pages.test_compare import words

PAGE = "/p/main/agents/refund-desk/checkpoints/"
REGION = {"HX-Request": "true", "HX-Target": "checkpoints"}


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def said_of_checkpoints() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(object__startswith="checkpoint").order_by("pk"))


def test_who_may_see_it(client: Client, bob: User, charlie: User, keeper: Keeper) -> None:
    """Members, and nobody else."""
    assert client.get(PAGE).status_code == 302
    client.force_login(charlie)
    assert client.get(PAGE).status_code == 404
    client.force_login(bob)
    assert client.get(PAGE).status_code == 200


def test_nothing_is_said_in_words(signed_in: Client, keeper: Keeper) -> None:
    """Without a checkpoint the page says what one is and how the first comes about."""
    assert "The first appears when the agent calls run.checkpoint()" in signed_in.get(PAGE).content.decode()


def test_each_says_how_it_stands_and_what_changed(signed_in: Client, project: Project) -> None:
    """First by what the rows say, and once somebody has looked, in a word."""
    states.make_story(project)
    rough = signed_in.get(PAGE).content.decode()
    assert ", load" in rough
    region = signed_in.get(PAGE, headers=REGION).content.decode()
    said = words(region)
    assert region.startswith("<section") and ", load" not in region
    for part in (
        "suspect before the pause", "unproven Before a rollback",
        "good, verified last good after refund 8836",
        "good, the first first begins here", f"+2 {MINUS}1 messages, 4 values", "+32 messages", "5 files",
    ):  # fmt: skip
        assert part in said, part
    assert ", load" not in signed_in.get(PAGE).content.decode()


def test_every_checkpoint_is_met_once(signed_in: Client, keeper: Keeper) -> None:
    """Walking down by pages meets each once, and the lanes that were open go on."""
    for n in range(120):
        keeper.take({"n": n})
    seen: list[str] = []
    path = PAGE
    while path:
        shown = signed_in.get(path).context
        seen += [row.line.id for row in shown["rows"]]
        assert shown["rows"][0].line.strand.above is (path != PAGE)
        path = shown["older"]
    newest_first = Checkpoint.objects.order_by("-at").values_list("pk", flat=True)
    assert seen == [pk.hex for pk in newest_first]


def test_queries_do_not_grow_with_the_rows(signed_in: Client, keeper: Keeper) -> None:
    """Five checkpoints or fifty: as many questions, looked at or not."""
    counts = []
    for count in (5, 45):
        for n in range(count):
            keeper.take(
                {"n": [n] * 50, "m": "x" * n, "count": count}, {b"f": str(n + count).encode() * 2_000}
            )
        for headers in ({}, REGION):
            with CaptureQueriesContext(connection) as asked:
                signed_in.get(PAGE, headers=headers)
            counts.append(len(asked.captured_queries))
    assert counts[2] <= counts[0] and counts[3] <= counts[1] + 2, counts


def test_one_opens_in_place(signed_in: Client, keeper: Keeper) -> None:
    """With its facts and what may be done; one that is not on the page begins a page of its own."""
    first = keeper.take({"a": 1}, notes=["huge.bin: larger than 64 MB"])
    for n in range(60):
        keeper.take({"a": n})
    html = signed_in.get(f"{PAGE}?open={first.pk}").content.decode()
    said = words(html)
    assert "huge.bin: larger than 64 MB" in said and "git:1a2b3c4" in said and "Call it so" in said
    assert html.count('class="history-row') == 1


@pytest.mark.parametrize(
    "asked",
    ["open=x", "before=x", "lanes=../..", "lanes=" + "f" * 999, "before=9-9", "open=" + "0" * 32,
     "before=-1-" + "0" * 32, "before=9999999999999999999-" + "0" * 32],
)  # fmt: skip
def test_an_address_that_was_cut_shows_the_page(signed_in: Client, keeper: Keeper, asked: str) -> None:
    """Whatever cannot be read is left out."""
    keeper.take({"a": 1})
    assert signed_in.get(f"{PAGE}?{asked}").status_code == 200


def test_judging_needs_a_word_and_a_reason(signed_in: Client, keeper: Keeper) -> None:
    """It is written down, and the agent's last known good is another."""
    first, second = keeper.take({"a": 1}), keeper.take({"a": 2}, facts={"failing": True})
    judge = f"/p/main/checkpoints/{second.pk}/judge/"
    for missing in ({}, {"standing": "good"}, {"standing": "unproven", "reason": "x"}, {"reason": "x"}):
        signed_in.post(judge, missing)
    assert not said_of_checkpoints()
    answer = signed_in.post(judge, {"standing": "good", "reason": "looked at it"}, follow=True)
    assert (
        "It is called good now." in answer.content.decode()
        and f"c-{second.pk.hex}" in answer.content.decode()
    )
    assert said_of_checkpoints()[0].reason == "looked at it" and Agent.objects.get().last_good == second.pk
    signed_in.post(judge, {"standing": "bad", "reason": "wrong amounts"})
    assert (
        Checkpoint.objects.get(pk=second.pk).standing == "bad" and Agent.objects.get().last_good == first.pk
    )


def test_what_is_damaged_cannot_be_called_good(signed_in: Client, keeper: Keeper, project: Project) -> None:
    """It says so, before and after."""
    found = keeper.take({"a": 1})
    Checkpoint.objects.update(label="changed by hand")
    verifying.verify(project, found.at)
    page = signed_in.get(f"{PAGE}?open={found.pk}").content.decode()
    assert "It is damaged, so it cannot be called good." in page
    said = signed_in.post(
        f"/p/main/checkpoints/{found.pk}/judge/", {"standing": "good", "reason": "x"}, follow=True
    )
    assert "cannot be called good" in said.content.decode()
    assert Checkpoint.objects.get().standing == "bad"


def test_pinning(signed_in: Client, keeper: Keeper) -> None:
    """Once pinned, twice pinned is the same; each change is written down."""
    found = keeper.take({"a": 1})
    pin = f"/p/main/checkpoints/{found.pk}/pin/"
    for said in ("yes", "yes", "no"):
        signed_in.post(pin, {"pinned": said})
    assert [entry.verb for entry in said_of_checkpoints()] == [
        "pin checkpoint",
        "unpin checkpoint",
    ]
    assert not Checkpoint.objects.get().pinned


@pytest.mark.parametrize("verb", ["judge", "pin"])
def test_who_may_say_something(client: Client, bob: User, charlie: User, keeper: Keeper, verb: str) -> None:
    """A viewer is refused, an outsider finds nothing, and a GET changes nothing."""
    found = keeper.take({"a": 1})
    path, said = (
        f"/p/main/checkpoints/{found.pk}/{verb}/",
        {"standing": "bad", "reason": "x", "pinned": "yes"},
    )
    assert client.post(path, said).status_code == 302
    client.force_login(bob)
    assert client.post(path, said).status_code == 403 and client.get(path).status_code == 405
    assert "Needs the role responder" in client.get(f"{PAGE}?open={found.pk}").content.decode()
    client.force_login(charlie)
    assert client.post(path, said).status_code == 404
    assert client.post(path.replace("main", "elsewhere"), said).status_code == 404
    assert not said_of_checkpoints()


def drawn(rows: list[tuple[str, str | None]], waiting: Any = ()) -> list[tuple[int, bool, bool, int]]:
    strands, _ = gutter.strands(rows, list(waiting))
    return [((s.x - gutter.FIRST) // gutter.STEP, s.above, s.below, len(s.joins)) for s in strands]


def test_a_line_and_a_branch() -> None:
    """A history without rollbacks is one lane; a branch has its own, and ends where it began."""
    assert drawn([("c", "b"), ("b", "a"), ("a", None)]) == [
        (0, False, True, 0), (0, True, True, 0), (0, True, False, 0)
    ]  # fmt: skip
    assert drawn([("d", "a"), ("c", "b"), ("b", "a"), ("a", None)]) == [
        (0, False, True, 0), (1, False, True, 0), (1, True, True, 0), (0, True, False, 1)
    ]  # fmt: skip


def test_more_branches_than_lanes() -> None:
    """However many branches, the drawing stays within its lanes."""
    rows: list[tuple[str, str | None]] = [(f"n{n}", f"p{n}") for n in range(40)]
    strands, waiting = gutter.strands(rows, [])
    assert len(waiting) <= gutter.MOST
    assert max(s.x for s in strands) < gutter.FIRST + gutter.STEP * gutter.MOST
    assert not re.search(r"-\d", " ".join(path for s in strands for path in s.joins))
