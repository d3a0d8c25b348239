"""Deciding from the page, without a script: one of two counts, an old page cannot act, typed text is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from agents.models import (
    AuditEntry,
    Command,
    Decision,
    Heartbeat,
    Incident,
    Instance,
    Pause,
    Project,
    Status,
    User,
)
from agents.services import incidents
from tests.pages import story


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def paused(project: Project) -> story.Paused:
    return story.make_paused(project, timezone.now())


def decide(client: Client, paused: story.Paused, verb: str = "resume", **said: str | int) -> HttpResponse:
    reason = {"resume": "known bug", "stop": "does harm", "start": "fixed"}[verb]
    said = {"version": 1, "reason": reason, "note": "", "guidance": "", "probation": "on"} | said
    answer: HttpResponse = client.post(f"/p/main/incidents/{paused.incident.pk}/{verb}/", said)
    return answer


def is_gone() -> None:
    """No process of any agent is there any more."""
    Instance.objects.update(live=False, gone_since=timezone.now())
    Heartbeat.objects.update(last_seen=timezone.now() - timedelta(minutes=5))


def test_a_resume_becomes_a_command(signed_in: Client, paused: story.Paused) -> None:
    """The reason with its note, the guidance and the probation travel to the agent; the page follows."""
    answer = decide(signed_in, paused, note="rate is fixed", guidance="Multiply by 100.\r\nThen stop.")
    assert (answer.status_code, answer["Location"]) == (302, f"/p/main/incidents/{paused.incident.pk}/")
    command = Command.objects.get()
    assert command.kind == "resume" and command.payload["guidance"] == "Multiply by 100.\nThen stop."
    assert command.payload["reason"] == "known bug: rate is fixed" and command.payload["probation"] is True
    page = signed_in.get(answer["Location"]).content.decode()
    assert (
        "Waits for its next safe point" in page
        and "Multiply by 100." in page
        and 'id="pause-again"' not in page
    )


def test_the_page_follows_the_command(signed_in: Client, paused: story.Paused) -> None:
    """Ordered, taken up, running on probation; then it may be paused again."""
    decide(signed_in, paused)
    now = timezone.now()
    Command.objects.update(state="done", taken_at=now, done_at=now)
    Pause.objects.update(state="lifted", settled_at=now)
    Instance.objects.update(status=Status.PROBATION)
    page = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()
    for said in ("Resumed", "Taken up", "Probation", 'id="pause-again"'):
        assert said in page


def test_without_probation(signed_in: Client, paused: story.Paused) -> None:
    """An unticked box is a decision too."""
    answer = signed_in.post(
        f"/p/main/incidents/{paused.incident.pk}/resume/", {"version": 1, "reason": "false alarm"}
    )
    assert answer.status_code == 302 and Command.objects.get().payload["probation"] is False


@pytest.mark.parametrize("reason", ["", "because", "known bug "])
def test_a_reason_is_one_of_the_chips(signed_in: Client, paused: story.Paused, reason: str) -> None:
    """Without one nothing is done, and what was typed is still there."""
    answer = decide(signed_in, paused, reason=reason, guidance="Multiply by 100.", note="a note")
    page = answer.content.decode()
    assert answer.status_code == 422 and not Decision.objects.exists()
    assert "Multiply by 100." in page and 'value="a note"' in page
    assert "Choose a reason" in page or "valid choice" in page


def test_an_old_page_cannot_act(signed_in: Client, paused: story.Paused) -> None:
    """It is refused with what changed since, the text kept, the new version in the form."""
    shown_at = timezone.now().timestamp() - 30
    incidents.bump(paused.incident.pk)
    story.entry(
        paused.instance.agent, kind="failure", title="A fourth refund failed", at=timezone.now()
    ).save(force_insert=True)
    answer = decide(signed_in, paused, guidance="Multiply by 100.", shown_at=int(shown_at))
    page = answer.content.decode()
    assert answer.status_code == 409 and not Decision.objects.exists()
    assert "Not done." in page and "A fourth refund failed" in page and "Multiply by 100." in page
    assert 'name="version" value="2"' in page
    assert decide(signed_in, paused, version=2).status_code == 302


def test_the_second_is_told_who_won(
    signed_in: Client, paused: story.Paused, client: Client, project: Project
) -> None:
    """Two decide from one version: one counts, the other reads whose."""
    decide(signed_in, paused)
    answer = decide(signed_in, paused, "stop", guidance="Never again")
    page = answer.content.decode()
    assert answer.status_code == 409 and Decision.objects.count() == 1
    assert "alice@example.com decided first" in page and "Never again" in page


def test_a_process_that_is_gone(signed_in: Client, paused: story.Paused) -> None:
    """The button says it before, the page after: taken up when it next starts."""
    is_gone()
    address = f"/p/main/incidents/{paused.incident.pk}/"
    assert "it is taken up when it next starts" in signed_in.get(address).content.decode()
    decide(signed_in, paused)
    assert (
        "Taken up when it next starts. The process is gone since" in signed_in.get(address).content.decode()
    )


def test_withdrawing(signed_in: Client, paused: story.Paused) -> None:
    """While no run has taken the decision up the page offers to withdraw it, and then waits for another."""
    address = f"/p/main/incidents/{paused.incident.pk}/"
    decide(signed_in, paused)
    assert 'id="withdraw"' not in signed_in.get(address).content.decode()
    is_gone()
    assert 'id="withdraw"' in signed_in.get(address).content.decode()
    assert signed_in.post(f"{address}withdraw/", {"version": 1}).status_code == 409
    assert signed_in.post(f"{address}withdraw/", {"version": 2}).status_code == 302
    page = signed_in.get(address).content.decode()
    assert 'id="panel-open"' in page and 'name="version" value="3"' in page
    assert "Resume by" not in signed_in.get("/p/main/incidents/").content.decode()


def test_withdrawing_too_late(signed_in: Client, paused: story.Paused) -> None:
    """Who was overtaken by a run reads when."""
    decide(signed_in, paused)
    Command.objects.update(state="taken", taken_at=timezone.now())
    answer = signed_in.post(f"/p/main/incidents/{paused.incident.pk}/withdraw/", {"version": 2})
    assert answer.status_code == 409 and "refund-desk took it up at" in answer.content.decode()


def test_each_verb_has_reasons_that_fit(signed_in: Client, paused: story.Paused) -> None:
    """What resumes an agent does not stop it, and neither starts it again."""
    is_gone()
    page = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()
    assert page.count('value="does harm"') == 2 and 'value="needed again"' not in page
    assert decide(signed_in, paused, reason="does harm").status_code == 422
    assert decide(signed_in, paused, "stop", reason="known bug").status_code == 422
    assert decide(signed_in, paused, "stop").status_code == 302
    page = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()
    assert 'value="needed again"' in page and 'value="false alarm"' not in page
    assert decide(signed_in, paused, "start", reason="known bug").status_code == 422


def test_stop_and_start_again(signed_in: Client, paused: story.Paused) -> None:
    """A stopped agent offers to be started again, with a reason."""
    is_gone()
    decide(signed_in, paused, "stop")
    page = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()
    assert Pause.objects.get().state == "stopped"
    assert "Start again" in page
    assert decide(signed_in, paused, "start", reason="").status_code == 422
    assert decide(signed_in, paused, "start", guidance="Gently").status_code == 302
    assert Decision.objects.filter(verb="start", guidance="Gently").exists()


def test_acknowledging(signed_in: Client, paused: story.Paused) -> None:
    """It says who has it, once; the version stays, the log has it."""
    address = f"/p/main/incidents/{paused.incident.pk}/"
    for _ in range(2):
        assert signed_in.post(f"{address}acknowledge/").status_code == 302
    assert "Seen by you" in signed_in.get(address).content.decode()
    assert (Incident.objects.get().version, AuditEntry.objects.filter(verb="acknowledge").count()) == (1, 1)


@pytest.mark.parametrize("verb", ["acknowledge", "resume", "stop", "start", "withdraw", "pause"])
def test_reading_changes_nothing(signed_in: Client, verb: str) -> None:
    """No verb works by GET."""
    path = "pause/" if verb == "pause" else f"incidents/1/{verb}/"
    assert signed_in.get(f"/p/main/{path}").status_code == 405


def test_a_form_needs_its_token(alice: User, paused: story.Paused) -> None:
    """A decision posted from elsewhere is refused."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert decide(client, paused).status_code == 403 and not Decision.objects.exists()


def test_pausing_several(signed_in: Client, project: Project) -> None:
    """The page says what it does to each, asks for a reason, and orders one pause each."""
    now = timezone.now()
    for name in ("one", "two"):
        story.make_worker(project, name, Status.RUNNING, now)
    story.make_worker(project, "off", Status.IDLE, now, live=False)
    asked = signed_in.get("/p/main/pause/ask/?agent=one&agent=two&agent=off&agent=nobody").content.decode()
    assert "Pause 3 agents" in asked and "the pause meets its next start" in asked
    assert signed_in.post("/p/main/pause/", {"agent": ["one", "two"]}).status_code == 422
    answer = signed_in.post("/p/main/pause/", {"agent": ["one", "two", "off"], "reason": "drill"})
    assert answer.status_code == 302 and Pause.objects.count() == 3


def test_pausing_one_leads_to_its_incident(signed_in: Client, project: Project) -> None:
    """One agent paused: what was opened is shown."""
    story.make_worker(project, "one", Status.RUNNING, timezone.now(), doing="score_lead")
    answer = signed_in.post("/p/main/pause/", {"agent": "one", "reason": "looks wrong", "note": "odd totals"})
    incident = Incident.objects.get()
    assert answer["Location"] == f"/p/main/incidents/{incident.pk}/"
    page = signed_in.get(answer["Location"]).content.decode()
    assert "looks wrong: odd totals" in page and "Pausing" in page and "score_lead" in page


def test_nothing_selected(signed_in: Client) -> None:
    """Pausing nobody says so."""
    assert "No agent is selected" in signed_in.get("/p/main/pause/ask/").content.decode()
    assert signed_in.post("/p/main/pause/", {"agent": "nobody", "reason": "drill"}).status_code == 422


def test_too_much_guidance_is_refused_and_kept(signed_in: Client, paused: story.Paused) -> None:
    """Nothing is cut: the page says by how much it is too long, and still holds every character."""
    typed = "line\r\n" * 700 + "x" * 520
    answer = decide(signed_in, paused, guidance=typed)
    page = answer.content.decode()
    assert answer.status_code == 422 and "shorten this by 20" in page
    assert "x" * 520 in page and 'maxlength="4000"' not in page
    assert not Command.objects.exists()
    assert decide(signed_in, paused, guidance="line\r\n" * 700 + "x" * 500).status_code == 302


def test_the_cards_stop_has_a_reason_of_its_own(signed_in: Client, paused: story.Paused) -> None:
    """The chip of resuming does not stop: without one of its own the stop is refused, beside its chips."""
    answer = decide(signed_in, paused, "stop", **{"from": "card", "reason": "does harm"})
    assert answer.status_code == 422 and answer.context["errors"]["stop_reason"]
    assert not Decision.objects.exists()
    assert decide(signed_in, paused, "stop", **{"from": "card", "stop_reason": "replaced"}).status_code == 302
    assert Decision.objects.get().reason == "replaced"
