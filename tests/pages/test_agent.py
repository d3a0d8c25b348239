"""The agent's page: who may see it, what it says, and the two verbs in its head."""

from __future__ import annotations

import pytest
from django.test import Client

from agents.models import Agent, AuditEntry, Incident, Instance, Pause, PauseState, Project, Status, User
from tests.domain import cast
from tests.pages.rows import make_agent, make_run

PAGE = "/p/main/agents/refund-desk/"
HEAD = {"HX-Request": "true", "HX-Target": "agent-head"}
VERBS = [PAGE + "pause/", PAGE + "start/"]


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project, about="refunds up to 50 €", owner="payments", runbook="https://wiki.example/r")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("path", [PAGE, PAGE + "head/", PAGE + "runs/"])
def test_who_may_see_it(agent: Agent, alice: User, bob: User, charlie: User, path: str) -> None:
    """Members see an agent; for others it is not there; nobody else gets past the door."""
    assert signed_in(alice).get(path).status_code == signed_in(bob).get(path).status_code == 200
    assert signed_in(charlie).get(path).status_code == 404
    assert Client().get(path).status_code == 302


def test_another_projects_agent_is_not_there(agent: Agent, charlie: User) -> None:
    """An agent's name in another project's address is a 404."""
    assert signed_in(charlie).get("/p/elsewhere/agents/refund-desk/").status_code == 404


def test_head_says_what_it_is(agent: Agent, alice: User) -> None:
    """The head has the name, what it is for, whose it is, the budget, and one next step."""
    html = signed_in(alice).get(PAGE).content.decode()
    for words in ("refund-desk", "refunds up to 50 €", "payments", "https://wiki.example/r", "0 of 3"):
        assert words in html
    assert 'data-opens="pause-dialog"' in html


@pytest.mark.parametrize(
    "runbook", ["javascript:alert(1)", "data:text/html,x", "//evil.example", " https://x"]
)
def test_a_runbook_that_is_no_address_is_no_link(agent: Agent, alice: User, runbook: str) -> None:
    """Only http and https are linked; anything else is shown as the text it is."""
    Agent.objects.update(runbook=runbook)
    html = signed_in(alice).get(PAGE).content.decode()
    assert f'href="{runbook}"' not in html


def test_pause_orders_and_says_so(agent: Agent, alice: User) -> None:
    """Pausing with a reason opens an incident, writes it down, and comes back to the page."""
    response = signed_in(alice).post(
        PAGE + "pause/", {"reason": "looks wrong", "note": "amounts"}, follow=True
    )
    assert "is told to pause" in response.content.decode()
    assert Pause.objects.get().cause.endswith("looks wrong: amounts")
    assert AuditEntry.objects.get().verb == "pause"
    incident = Incident.objects.get()
    assert f"Decide incident {incident.pk}" in response.content.decode()


def test_pausing_without_leaving_the_page(agent: Agent, alice: User) -> None:
    """The page's own form is answered with the head as it is now and the message, not with a page."""
    answer = signed_in(alice).post(PAGE + "pause/", {"reason": "looks wrong"}, headers=HEAD)
    html = answer.content.decode()
    assert answer.status_code == 200 and html.startswith("<header")
    assert f"Decide incident {Incident.objects.get().pk}" in html
    assert 'hx-swap-oob="beforeend:#messages"' in html and "is told to pause" in html


def test_a_missing_reason_stays_in_the_dialog(agent: Agent, alice: User) -> None:
    """Without a reason the dialog is answered in words, and nothing is ordered."""
    answer = signed_in(alice).post(PAGE + "pause/", {}, headers=HEAD)
    assert (answer.status_code, answer.content.decode()) == (422, "Say why, in a word.")
    assert not Pause.objects.exists()


def test_a_verb_needs_a_reason(agent: Agent, alice: User) -> None:
    """Without a reason nothing is ordered, and the page asks for it."""
    response = signed_in(alice).post(PAGE + "pause/", {})
    assert response.status_code == 422 and "Say why" in response.content.decode()
    assert not Pause.objects.exists()


@pytest.mark.parametrize("path", VERBS)
def test_who_may_act(agent: Agent, bob: User, charlie: User, path: str) -> None:
    """A viewer is refused, an outsider finds nothing, and nothing happens."""
    assert signed_in(bob).post(path, {"reason": "x"}).status_code == 403
    assert signed_in(charlie).post(path, {"reason": "x"}).status_code == 404
    assert Client().post(path, {"reason": "x"}).status_code == 302
    assert not Pause.objects.exists()


@pytest.mark.parametrize("path", VERBS)
def test_reading_changes_nothing(agent: Agent, alice: User, path: str) -> None:
    """A GET of a verb asks and changes nothing; a POST without a CSRF token is refused."""
    assert signed_in(alice).get(path, {"reason": "x"}).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(path, {"reason": "x"}).status_code == 403
    assert not Pause.objects.exists() and not AuditEntry.objects.exists()


def test_a_viewer_is_told_what_it_takes(agent: Agent, bob: User) -> None:
    """Whoever may not pause sees no form, and reads which role it takes."""
    html = signed_in(bob).get(PAGE).content.decode()
    assert "Needs the role responder to pause" in html and "pause-dialog" not in html


def test_the_next_step_is_about_what_holds_the_agent(project: Project, agent: Agent, alice: User) -> None:
    """A shared incident that others still take up does not hide the newer one that holds this agent."""
    first, other = agent.instances.first(), cast.worker(project, "other")
    assert first is not None
    shared = cast.spends_its_budget(first, failure=cast.fails(first))
    cast.spends_its_budget(other, failure=cast.fails(other))
    Pause.objects.filter(instance=first).update(state=PauseState.LIFTED)
    newer = cast.spends_its_budget(first, now=cast.NOW + cast.MINUTE)
    assert newer.incident_id != shared.incident_id
    assert f"Decide incident {newer.incident_id}" in signed_in(alice).get(PAGE).content.decode()


@pytest.mark.parametrize("others_wait", [False, True])
def test_a_stopped_agent_offers_its_start(agent: Agent, alice: User, others_wait: bool) -> None:
    """Stopped is a state: the next step starts it again, also while others of its incident wait."""
    client = signed_in(alice)
    client.post(PAGE + "pause/", {"reason": "looks wrong"})
    incident = Incident.objects.get()
    client.post(
        f"/p/main/incidents/{incident.pk}/stop/", {"reason": "does harm", "version": incident.version}
    )
    Pause.objects.update(state=PauseState.STOPPED)
    Instance.objects.update(status=Status.STOPPED)
    Agent.objects.update(status=Status.STOPPED)
    Incident.objects.update(state="open" if others_wait else "closed")
    assert "Start again" in client.get(PAGE).content.decode()
    client.post(PAGE + "start/", {"reason": "fixed"})
    assert AuditEntry.objects.filter(verb="start").exists()


def test_runs_are_listed_newest_first(agent: Agent, alice: User) -> None:
    """The runs tab lists the lives of the process, each with its part of the timeline."""
    run = make_run(agent, state="vanished", host="web-3", pid=812, code_version="3.2.1")
    html = signed_in(alice).get(PAGE + "runs/").content.decode()
    for words in ("vanished", "web-3", "pid 812", "3.2.1", f"?run={run.id.hex}"):
        assert words in html


def test_a_start_that_is_ordered_is_said(agent: Agent, alice: User) -> None:
    """After *Start again* the head says when it is taken up, and does not offer the same button again."""
    client = signed_in(alice)
    Instance.objects.update(live=False)
    client.post(PAGE + "pause/", {"reason": "looks wrong"})
    pause = Pause.objects.get()
    Pause.objects.update(state=PauseState.STOPPED)
    Agent.objects.update(status=Status.STOPPED)
    Instance.objects.update(status=Status.STOPPED, doing="search_orders")
    pause.incident.state = "closed"
    pause.incident.save()
    client.post(PAGE + "start/", {"reason": "fixed"})
    html = client.get(PAGE + "head/").content.decode()
    assert 'id="agent-starts"' in html and "taken up when it next starts" in html
    assert "Start is ordered" in html and "<span>Start again</span>" not in html
    fleet = client.get("/p/main/").content.decode()
    assert "Stopped by a decision" in fleet and "search_orders" not in fleet
