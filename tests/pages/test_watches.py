"""Watched from now on: each new checkpoint is judged once, and only a change is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, AuditEntry, Entry, Instance, Project, User
from checkpoints.checks import Check
from checkpoints.models import Checkpoint, Unjudged, Watch, Watched
from checkpoints.services import watches
from tests.builders import Wire, make_token
from tests.domain.rolling import Desk, actor, make_desk
from tests.pages.states import HOSTILE
from tests.pages.test_compare import words
from tests.restore.taker import Taker

PAGE = "/p/main/agents/refund-desk/"


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def kept(user: User, check: Check, policy: str = "observe") -> Watch:
    agent = Agent.objects.select_related("project").get(name="refund-desk")
    return watches.keep(
        actor=actor(user, agent.project), agent=agent, check=check, policy=policy, now=timezone.now()
    )


def told() -> list[str]:
    return list(
        Entry.objects.filter(name="watch", kind="signal").order_by("at").values_list("outcome", flat=True)
    )


def test_only_a_change_is_told(desk: Desk, alice: User) -> None:
    """That it begins to fail, once, with the checkpoint; that it passes again; going on says nothing."""
    desk.take(1)
    watch = kept(alice, Check("n", "less", "3"))
    taken = [desk.take(n) for n in (1, 5, 6, 2, 7)]
    assert Unjudged.objects.count() == 5 and told() == []
    assert watches.look(timezone.now()) == 5 and watches.look(timezone.now()) == 0
    assert told() == ["fails", "passes", "fails"]
    entry = Entry.objects.filter(name="watch").order_by("at", "id").first()
    assert entry and entry.ref == str(taken[1].pk) and "n is less than 3: began to fail" in entry.title
    seen = Watched.objects.get(watch=watch)
    assert (seen.passes, seen.checkpoint, seen.since) == (False, taken[4].pk, taken[4].at)
    assert not Entry.objects.filter(kind="failure").exists()


def test_what_fails_already_is_shown_and_not_told(desk: Desk, alice: User) -> None:
    """The watch begins with how it is now."""
    desk.take(9)
    watch = kept(alice, Check("n", "less", "3"))
    desk.take(10)
    watches.look(timezone.now())
    assert told() == [] and Watched.objects.get(watch=watch).passes is False


def test_an_enforced_one_counts(desk: Desk, alice: User) -> None:
    """As a failure, once, in the account that the agent is told."""
    desk.take(1)
    kept(alice, Check("n", "equals", "1"), "enforce")
    for n in (2, 3):
        desk.take(n)
        watches.look(timezone.now())
    assert Entry.objects.filter(kind="failure", name="watch", outcome="verification").count() == 1
    assert Instance.objects.get().consecutive == 1


def test_what_fails_an_enforced_one_is_never_good(desk: Desk, alice: User) -> None:
    """Each checkpoint that fails is suspect, however well all else went; the last known good one stays."""
    desk.take(1)
    good = Agent.objects.get().last_good
    kept(alice, Check("n", "equals", "1"), "enforce")
    for n in (2, 3):
        desk.take(n)
        watches.look(timezone.now())
    later = Checkpoint.objects.exclude(pk=good).values_list("standing", "reason")
    assert {standing for standing, _ in later} == {"suspect"} and all("is not so" in why for _, why in later)
    assert good is not None and Agent.objects.get().last_good == good


def test_each_instance_stands_for_itself(project: Project, desk: Desk, alice: User) -> None:
    """One that fails does not hide that another begins to."""
    desk.take(1)
    kept(alice, Check("n", "equals", "1"))
    wire = Wire(make_token(project), agent="refund-desk", instance="second")
    assert wire.register().status_code == 200
    other = Desk(Taker(wire))
    for taker in (desk, other):
        taker.take(2)
    watches.look(timezone.now())
    assert told() == ["fails", "fails"] and Watched.objects.count() == 2


def test_what_is_off_or_gone_is_not_judged(desk: Desk, alice: User, project: Project) -> None:
    """Nor are checkpoints that retention took, nor older ones that came late; nothing waits for ever."""
    desk.take(1)
    watch = kept(alice, Check("n", "equals", "1"))
    gone = desk.take(2)
    Checkpoint.objects.filter(pk=gone.pk).delete()
    assert watches.look(timezone.now()) == 0 and not Unjudged.objects.exists()
    late = desk.take(3)
    Watched.objects.update(at=timezone.now() + timezone.timedelta(hours=1))
    assert watches.look(timezone.now()) == 0 and told() == [] and late.pk
    desk.take(4)
    who = actor(alice, project)
    assert (
        watches.turn(actor=who, watch=watch, on=False, now=timezone.now()) and not Unjudged.objects.exists()
    )
    assert not watches.turn(actor=who, watch=watch, on=False, now=timezone.now())
    desk.take(5)
    assert not Unjudged.objects.exists()


def test_one_that_cannot_be_judged_changes_nothing_that_is_told(desk: Desk, alice: User) -> None:
    """It is shown as unknown; the next that can be says how it is."""
    desk.take(1)
    kept(alice, Check("n", "equals", "1"))
    broken = desk.take(1)
    Checkpoint.objects.filter(pk=broken.pk).update(memory=b"\1" * 32)
    watches.look(timezone.now())
    assert Watched.objects.get().passes is None and told() == []
    desk.taker.tree = None
    desk.take(2)
    watches.look(timezone.now())
    assert told() == ["fails"]


def test_taking_asks_one_question_more(desk: Desk, alice: User) -> None:
    """However many watches there are."""
    desk.take(1)
    with CaptureQueriesContext(connection) as without:
        desk.take(2)
    for n in range(10):
        kept(alice, Check("n", "less", str(n)))
    with CaptureQueriesContext(connection) as many:
        desk.take(3)
    assert len(many.captured_queries) == len(without.captured_queries) and Unjudged.objects.count() == 10


def test_the_bound_is_said(desk: Desk, alice: User) -> None:
    """So many and no more; the same again is the same."""
    first = kept(alice, Check("n", "less", "0"))
    assert kept(alice, Check("n", "less", "0")) == first
    for n in range(1, watches.MOST):
        kept(alice, Check("n", "less", str(n)))
    with pytest.raises(watches.Refused, match="at most 20"):
        kept(alice, Check("n", "less", "99"))
    with pytest.raises(watches.Refused, match="needs a number"):
        kept(alice, Check("n", "less", "many"))


def test_a_person_keeps_turns_and_removes(signed_in: Client, desk: Desk) -> None:
    """From the page that found it; each is in the audit log, and the history shows how it stands."""
    desk.take(1)
    html = signed_in.get(f"{PAGE}bisect/?path=n&op=equals&value=1").content.decode()
    assert "Watch this from now on" in html
    said = {"path": "n", "op": "equals", "value": "1", "where": "memory", "policy": "observe"}
    answer = signed_in.post(f"{PAGE}watches/", said)
    assert answer["Location"] == f"{PAGE}checkpoints/#watches"
    watch = Watch.objects.get()
    assert "passes n equals 1" in words(signed_in.get(f"{PAGE}checkpoints/").content.decode())
    for verb, form in (("policy", {"policy": "enforce"}), ("turn", {"on": "no"}), ("turn", {"on": "yes"})):
        assert signed_in.get(f"/p/main/watches/{watch.pk}/{verb}/").status_code == 405
        assert signed_in.post(f"/p/main/watches/{watch.pk}/{verb}/", form).status_code == 302
    watch.refresh_from_db()
    assert watch.policy == "enforce" and watch.is_on
    signed_in.post(f"/p/main/watches/{watch.pk}/remove/")
    assert not Watch.objects.exists() and "Watched" not in words(
        signed_in.get(f"{PAGE}checkpoints/").content.decode()
    )
    verbs = list(
        AuditEntry.objects.filter(verb__contains="watch").order_by("pk").values_list("verb", flat=True)
    )
    assert verbs == ["watch", "enforce watch", "turn watch off", "turn watch on", "remove watch"]


def test_who_watches_may_not_change_what_is_watched(
    client: Client, alice: User, bob: User, charlie: User, desk: Desk
) -> None:
    """A viewer sees it; who is outside finds nothing, and nothing moves."""
    desk.take(1)
    watch = kept(alice, Check("n", "equals", "1"))
    paths: dict[str, Any] = {
        f"{PAGE}watches/": {"path": "x", "op": "exists"}, f"/p/main/watches/{watch.pk}/turn/": {"on": "no"},
        f"/p/main/watches/{watch.pk}/policy/": {"policy": "enforce"},
        f"/p/main/watches/{watch.pk}/remove/": {},
    }  # fmt: skip
    client.force_login(bob)
    html = client.get(f"{PAGE}checkpoints/").content.decode()
    assert "n equals 1" in html and "Enforce" not in html
    assert {client.post(path, said).status_code for path, said in paths.items()} == {403}
    client.force_login(charlie)
    for path, said in paths.items():
        assert client.post(path, said).status_code == 404
        assert client.post(path.replace("main", "elsewhere"), said).status_code == 404
    watch.refresh_from_db()
    assert (watch.policy, watch.is_on, Watch.objects.count()) == ("observe", True, 1)


@pytest.mark.parametrize(
    "said",
    [{}, {"op": "eval", "path": "x"}, {"op": "less", "value": "x"}, {"op": "exists", "path": "x" * 5_000}],
)
def test_what_is_no_check_is_not_kept(signed_in: Client, desk: Desk, said: dict[str, str]) -> None:
    """The page says why."""
    answer = signed_in.post(f"{PAGE}watches/", {"op": "none", **said}, follow=True)
    assert "Not watched:" in answer.content.decode() and not Watch.objects.exists()


def test_hostile_checks_are_only_words(signed_in: Client, desk: Desk) -> None:
    """On the page and in the timeline."""
    desk.taker.take({HOSTILE: 1})
    said = {"path": json.dumps([HOSTILE]), "op": "is_not", "value": HOSTILE}
    signed_in.post(f"{PAGE}watches/", {**said, "policy": "<b>"})
    desk.taker.take({HOSTILE: HOSTILE})
    watches.look(timezone.now())
    assert told() == ["fails"] and Watch.objects.get().policy == "observe"
    for path in (f"{PAGE}checkpoints/", PAGE):
        assert "<img src=x" not in signed_in.get(path).content.decode()


def test_queries_do_not_grow_with_watches(signed_in: Client, desk: Desk, alice: User) -> None:
    """One or fifteen."""
    desk.take(1)
    counts = []
    for n in (1, 14):
        for m in range(n):
            kept(alice, Check("n", "less", f"{n}{m}"))
        with CaptureQueriesContext(connection) as asked:
            signed_in.get(f"{PAGE}checkpoints/")
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1], counts


@pytest.mark.django_db(transaction=True)
def test_every_new_verdict_is_announced(desk: Desk, alice: User) -> None:
    """The first, one that cannot be given, another: and what goes on as it was is not."""
    agent = Agent.objects.get()
    kept(alice, Check("n", "equals", "1"))
    news = []
    for n in (1, 1, 2, 2):
        desk.take(n)
        before = Agent.objects.get().version
        watches.look(timezone.now())
        news.append(Agent.objects.get(pk=agent.pk).version - before)
    assert news == [1, 0, 1, 0]


def test_the_region_alone_is_whole(client: Client, bob: User, desk: Desk, alice: User) -> None:
    """Its refetch is what the page includes; with nothing watched its root is there, hidden."""
    client.force_login(bob)
    region = client.get(f"{PAGE}watches/now/").content.decode()
    assert region.startswith('<section class="section" id="watches" hidden hx-get=')
    assert region.strip() in client.get(f"{PAGE}checkpoints/").content.decode()
    desk.take(1)
    kept(alice, Check("n", "equals", "1"))
    region = client.get(f"{PAGE}watches/now/").content.decode()
    assert "n equals 1" in region and region.strip() in client.get(f"{PAGE}checkpoints/").content.decode()
