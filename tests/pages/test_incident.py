"""The 3 a.m. card: what broke, what it costs, what cannot be undone, who knows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import (
    Agent,
    AlertTarget,
    Effect,
    Entry,
    Heartbeat,
    Incident,
    Instance,
    Outbox,
    Pause,
    PauseState,
    Project,
    User,
)
from tests.builders import order_pause
from tests.pages import states, story

HOSTILE = "<img src=x onerror=alert(1)>{% now 'Y' %}\u202e\u200b"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def paused(project: Project) -> story.Paused:
    return story.make_paused(project, timezone.now())


def card(client: Client, paused: story.Paused) -> str:
    return client.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()


def test_it_says_what_broke_and_what_waiting_costs(signed_in: Client, paused: story.Paused) -> None:
    """Name, purpose, cost, owner, runbook; the group and the how many-th time; expected beside actual."""
    page = card(signed_in, paused)
    for said in (
        "refund-desk", "Refunds up to 500", "11 refunds wait, fine until 06:51 UTC", "payments",
        'href="https://wiki.example.com/refund-desk" rel="noopener noreferrer"',
        "Refund differs from the order", "7th time, 3 in a row.", "400.00 €", "40.00 €",
        "Self-healing is off for this agent.",
    ):  # fmt: skip
        assert said in page, said


def test_the_streak_spent_the_budget(signed_in: Client, paused: story.Paused) -> None:
    """The last three in a row stand in order; the older ones of the hour fold below."""
    found = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").context["evidence"]
    assert [f.actual for f in found.streak] == ["12.00 €", "6.55 €", "40.00 €"]
    assert [f.took for f in found.streak] == ["1.3 s"] * 3
    assert len(found.older) == 3 and found.limit == "3 in a row, limit 3"
    address = f"/p/main/agents/refund-desk/?entry={found.streak[0].entry.id}"
    assert address in card(signed_in, paused) and signed_in.get(address).status_code == 200


def test_failures_before_the_last_resume_are_no_evidence(
    signed_in: Client, paused: story.Paused, project: Project
) -> None:
    """What an earlier decision settled is not held against the agent again."""
    earlier = Incident.objects.create(project=project, agent=paused.instance.agent, cause="budget", title="x")
    pause = Pause.objects.create(
        incident=earlier, instance=paused.instance, owner="budget", state=PauseState.LIFTED, cause="x",
        at=paused.pause.at - timedelta(minutes=20),
    )  # fmt: skip
    earlier.decisions.create(
        pause=pause, verb="resume", version=1, by="bob", at=paused.pause.at - timedelta(minutes=10)
    )
    found = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").context["evidence"]
    assert (len(found.streak), len(found.older)) == (3, 0)


def test_what_reached_the_world_is_listed(signed_in: Client, paused: story.Paused) -> None:
    """Effects since the first failure of the streak, the unfinished ones marked; older ones not."""
    Effect.objects.filter(key="refund:8843").update(state="begun")
    Effect.objects.create(
        id="x", instance=paused.instance, run_id=Effect.objects.first().run_id, name="issue_refund",
        key="refund:1", state="done", begun_at=timezone.now() - timedelta(hours=2),
    )  # fmt: skip
    page = card(signed_in, paused)
    assert "3 external actions since the first failure" in page and "refund:8841" in page
    assert "refund:1<" not in page and page.count("may have happened") == 1


def test_nobody_has_been_told_is_said(signed_in: Client, paused: story.Paused) -> None:
    """Without any target the page says so, and leads to where that is changed."""
    assert "Nobody has been told." in card(signed_in, paused)


def test_whoever_is_told_is_named(signed_in: Client, project: Project) -> None:
    """With a target an alert is on its way the moment the incident opens."""
    AlertTarget.objects.create(project=project, kind="email", label="on-call", address="a@example.com")
    assert "An alert is on its way." in card(signed_in, story.make_paused(project, timezone.now()))


def test_expected_and_actual_stand_still(signed_in: Client, paused: story.Paused) -> None:
    """Both columns stand left whatever is in them; sentences and long text are clamped, and open in place."""
    page = card(signed_in, paused)
    assert "<th>Expected</th><th>Actual</th>" in page and 'class="clamp"' not in page
    prose = "the answer names the order, its amount and when it was paid"
    body = {"expected": prose, "actual": "40.00 €", "consecutive": 3, "hourly": 3}
    Entry.objects.filter(kind="failure").update(body=json.dumps(body))
    page = card(signed_in, paused)
    assert page.count('<details class="clamp" id="expected-') == 3
    assert (
        "<th>Expected</th><th>Actual</th>" in page and page.count('<td class="push" data-label="actual"') == 3
    )


def test_what_failed_stands_in_red_beside_what_arrived(signed_in: Client, project: Project) -> None:
    """One line a target; while one of them was reached, nobody-has-been-told is not said."""
    for kind, label in (("email", "on-call"), ("webhook", HOSTILE)):
        AlertTarget.objects.create(project=project, kind=kind, label=label, address="a@example.com")
    AlertTarget.objects.create(project=project, kind="webhook", label="pager", address="https://x.example")
    paused = story.make_paused(project, timezone.now())
    mail, hook, _ = Outbox.objects.order_by("pk")
    hook.tries.create(outcome="failed", why="it answered 503", ended_at=timezone.now())
    assert '<b class="tone-bad">Nobody has been told.</b>' in card(signed_in, paused)
    mail.tries.create(outcome="sent", ended_at=timezone.now())
    Outbox.objects.filter(pk=mail.pk).update(state="sent")
    page = card(signed_in, paused)
    assert "<bdi>E-mail handed over</bdi> <time" in page and "Nobody has been told" not in page
    assert page.count('<li class="tone-bad">') == 1 and "failed: answered 503, tried once, next try" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http:///x", "ftp://x/y", "http://[x"],
)
def test_only_the_web_is_linked(signed_in: Client, paused: story.Paused, address: str) -> None:
    """A runbook that is no http or https address is text."""
    Agent.objects.update(runbook=address)
    page = card(signed_in, paused)
    assert f'href="{address}' not in page and "Runbook:" in page


def test_what_an_agent_says_is_text(signed_in: Client, paused: story.Paused) -> None:
    """Every field that an agent fills is shown as what it is, on the page and in its fragments."""
    Agent.objects.update(about=HOSTILE, owner=HOSTILE, runbook=HOSTILE, while_paused=HOSTILE)
    Instance.objects.update(host=HOSTILE, doing=HOSTILE)
    Incident.objects.update(title=HOSTILE)
    Pause.objects.update(cause=HOSTILE, in_flight=HOSTILE, owner="detector", state="pausing")
    Effect.objects.update(name=HOSTILE, key=HOSTILE, input=json.dumps({HOSTILE: HOSTILE}))
    body = json.dumps(dict.fromkeys(("expected", "actual", "why", "message", "exception"), HOSTILE))
    Entry.objects.update(name=HOSTILE[:40], title=HOSTILE, body=body)
    for path in ("", "now/", "bar/"):
        page = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/{path}").content.decode()
        assert "<img" not in page and "\u202e" not in page and "\u200b" not in page, path


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '{"expected": [1, {"a": null}], "actual": 1e999, "consecutive": "x"}',
        '{"consecutive": -1, "hourly": true, "took_ms": "x"}',
        "{",
    ],
)
def test_a_body_of_any_shape_is_shown(signed_in: Client, paused: story.Paused, body: str) -> None:
    """No recorded value, however odd, takes the page away."""
    Entry.objects.update(body=body)
    assert "Refund differs" in card(signed_in, paused)


def test_a_card_costs_the_same_however_much_failed(signed_in: Client, paused: story.Paused) -> None:
    """A constant number of queries."""
    card(signed_in, paused)
    with CaptureQueriesContext(connection) as few:
        card(signed_in, paused)
    for entry in list(Entry.objects.filter(kind="failure")):
        for n in range(5):
            entry.id = f"{entry.id[:40]}{n}"
            entry.save(force_insert=True)
    with CaptureQueriesContext(connection) as many:
        card(signed_in, paused)
    assert len(many) == len(few) <= 40


def test_an_incident_about_several_agents_names_them(signed_in: Client, paused: story.Paused) -> None:
    """The title counts them; each stands with its own status and budget; no query more for many of them."""
    assert 'id="parties"' not in card(signed_in, paused)
    project, now = paused.incident.project, timezone.now()
    costs = []
    for names in (["invoice-desk", "ledger-desk"], [f"desk-{n}" for n in range(60)]):
        for name in names:
            spent = story.account([900, 60], 2, now)
            joined = story.make_worker(project, name, "healing", now, account=spent)
            paused.incident.instances.add(joined)
        with CaptureQueriesContext(connection) as caught:
            page = card(signed_in, paused)
        costs.append(len(caught))
        if len(names) == 2:
            assert "refund-desk and 2 more: Refund differs from the order" in page
            parties = page[page.index('id="parties"') :]
            parties = parties[: parties.index("</ul>")]
            assert parties.count("<li") == 3 and "Healing" in parties and "2 of 3" in parties
    assert "63 agents in all" in page and costs[0] == costs[1]


def test_guidance_for_several_says_so(signed_in: Client, paused: story.Paused) -> None:
    """The field and the heading speak of the same agents; on a phone the bar alone has *Acknowledge*."""
    page = card(signed_in, paused)
    assert "Tell refund-desk something, optional" in page
    assert '<form class="not-phone" method="post"' in page and 'id="bar-acknowledge"' in page
    joined = story.make_worker(paused.incident.project, "invoice-desk", "paused", timezone.now())
    Pause.objects.create(
        incident=paused.incident, instance=joined, owner="budget", cause="x", at=timezone.now()
    )
    page = card(signed_in, paused)
    assert "Decide for 2 agents" in page and "Tell both agents something, optional" in page
    assert "Tell refund-desk" not in page


def test_who_only_looks_cannot_decide(client: Client, bob: User, paused: story.Paused) -> None:
    """A viewer sees all of it and no button, and the verbs are closed to them."""
    client.force_login(bob)
    page = card(client, paused)
    assert "It waits for a responder" in page and 'id="resume"' not in page and 'id="acknowledge"' not in page
    for verb in ("acknowledge", "resume", "stop", "start", "withdraw"):
        answer = client.post(
            f"/p/main/incidents/{paused.incident.pk}/{verb}/", {"reason": "known bug", "version": 1}
        )
        assert answer.status_code == 403
    assert client.post("/p/main/pause/", {"agent": "refund-desk", "reason": "drill"}).status_code == 403


def test_a_silent_agent_has_nothing_to_decide(signed_in: Client, project: Project) -> None:
    """It says that it closes by itself, and offers to hold the agent when it comes back."""
    story.make_fleet(project, timezone.now(), size=2)
    incident = Incident.objects.get(cause="silence")
    page = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "It closes by itself when the agent is heard again" in page and "Pause ledger-sync" in page
    assert "Stop ledger-sync" in page


def test_it_says_what_changed_since_last_known_good(signed_in: Client, project: Project) -> None:
    """In one line with a link to the comparison, in as many questions for one change as for many."""
    keeper, good, now = states.make_story(project)
    actor = User.objects.get(name="Alice")
    order_pause(actor, project)
    incident = Incident.objects.get()
    path = f"/p/main/incidents/{incident.pk}/"
    signed_in.get(path)
    with CaptureQueriesContext(connection) as few:
        page = signed_in.get(path).content.decode()
    assert "Changed since last known good" in page and f"/checkpoints/{good.pk}..{now.pk}/" in page
    assert "<bdi>rates.amount_scale</bdi>" in page and "messages" in page and "sk-live" not in page
    for n in range(20):
        keeper.take(states.memory(30 + n), at=keeper.taker.wire.now() - 1)
    signed_in.get(path)
    with CaptureQueriesContext(connection) as many:
        signed_in.get(path)
    assert len(many.captured_queries) <= len(few.captured_queries)


def test_without_a_checkpoint_it_says_what_it_did_last(signed_in: Client, paused: story.Paused) -> None:
    """No line about a state that nobody kept."""
    page = card(signed_in, paused)
    assert "Changed since" not in page and "Did last" in page


def shared(project: Project) -> tuple[story.Paused, story.Paused]:
    """One incident of two agents that spent their budgets alike."""
    one = story.make_paused(project, timezone.now())
    two = story.make_paused(project, timezone.now(), name="payout-desk")
    Pause.objects.filter(pk=two.pause.pk).update(incident=one.incident)
    two.incident.delete()
    return one, two


def test_a_shared_incident_names_the_agent_of_each_failure(signed_in: Client, project: Project) -> None:
    """Of two agents that wait, every row says whose it is and leads to that agent's timeline."""
    one, _ = shared(project)
    page = card(signed_in, one)
    found = signed_in.get(f"/p/main/incidents/{one.incident.pk}/").context["evidence"]
    assert {failure.agent for failure in found.streak} == {"refund-desk", "payout-desk"}
    assert len(found.streak) == 6 and found.limit == "3 in a row, limit 3 each"
    assert "/agents/payout-desk/?entry=" in page and "/agents/refund-desk/?entry=" in page


def test_a_shared_incident_follows_who_still_waits(signed_in: Client, project: Project) -> None:
    """When its first agent is stopped, what failed, what it said and what is decided are the other's."""
    one, two = shared(project)
    Pause.objects.filter(pk=one.pause.pk).update(state=PauseState.STOPPED, settled_at=timezone.now())
    context = signed_in.get(f"/p/main/incidents/{one.incident.pk}/").context
    assert {failure.agent for failure in context["evidence"].streak} == {"payout-desk"}
    assert context["last_failure"].where.startswith("payout-desk: issue_refund at ")
    assert context["speaks"] == two.instance.agent
    assert context["resume_title"] == "Resume payout-desk" and context["stop_title"] == "Stop payout-desk"


def test_an_incident_of_one_agent_does_not_repeat_its_name(signed_in: Client, paused: story.Paused) -> None:
    """Its rows have no name, and all of them are there on the phone too."""
    page = card(signed_in, paused)
    found = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").context["evidence"]
    assert {failure.agent for failure in found.streak} == {""}
    assert page.count('<code class="read">') == 3 and "read not-phone" not in page


def test_stopping_several_is_said_of_several(signed_in: Client, project: Project) -> None:
    """The sentence below the button fits one agent and two."""
    one, _ = shared(project)
    said = signed_in.get(f"/p/main/incidents/{one.incident.pk}/").context["stop_does"]
    assert said == "Their runs end at once. No run begins until someone starts them again."


def test_a_stopped_incident_does_not_wait_for_a_process(signed_in: Client, paused: story.Paused) -> None:
    """Where no process was left to be told, it was ordered and is stopped: nothing is to be taken up."""
    Instance.objects.update(live=False, gone_since=timezone.now())
    Heartbeat.objects.update(last_seen=timezone.now() - timedelta(minutes=5))
    signed_in.post(
        f"/p/main/incidents/{paused.incident.pk}/stop/",
        {"version": 1, "from": "card", "reason": "known bug", "stop_reason": "does harm"},
    )
    page = card(signed_in, paused)
    assert 'id="panel-stopped"' in page and "Taken up when it next starts" not in page
