"""The policy tab: what the code sets is shown, how checkpoints are thinned is chosen, tried and audited."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from agents import access
from agents.models import Agent, AuditEntry, Project, Role, User
from checkpoints import thinning
from checkpoints.models import Checkpoint, RetentionPolicy, Rollback
from checkpoints.services import retention
from tests.builders import make_agent
from tests.conftest import member
from tests.domain.test_escalation import EVERYONE, make_policy, step
from tests.pages.states import make_keeper

PAGE = "/p/main/agents/refund-desk/policy/"
CHOICE = {"day": "3600", "week": "86400", "quarter": "none", "older": "none"}


@pytest.fixture
def client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def chosen(page: str) -> list[str]:
    return [line.split('value="')[1].split('"')[0] for line in page.split("<option ") if "selected" in line]


def test_a_choice_is_kept_and_audited(client: Client, agent: Agent) -> None:
    """Saving replaces the policy, once in the audit log with before and after; the page shows it chosen."""
    assert client.post(PAGE + "retention/", CHOICE).status_code == 302
    hour, day, week = thinning.HOUR, thinning.DAY, thinning.WEEK
    assert retention.policy_of(agent) == [(hour, 0), (day, hour), (week, day)]
    client.post(PAGE + "retention/", CHOICE)
    entry = AuditEntry.objects.get(verb="change retention")
    assert entry.object == "agent refund-desk" and entry.saw["before"][0] == [hour, 0]
    assert chosen(client.get(PAGE).content.decode()) == ["", *CHOICE.values()]


def test_the_agent_is_told_of_by_a_policy_of_its_own(client: Client, agent: Agent, project: Project) -> None:
    """Chosen once, audited once, shown chosen; and given back to the project's."""
    own = make_policy(project, step(EVERYONE), name="nights", is_default=False)
    for _ in range(2):
        assert client.post(PAGE + "escalation/", {"escalation": own.pk}).status_code == 302
    agent.refresh_from_db()
    assert agent.escalation == own and chosen(client.get(PAGE).content.decode())[0] == str(own.pk)
    client.post(PAGE + "escalation/", {"escalation": ""})
    agent.refresh_from_db()
    assert agent.escalation is None
    entries = AuditEntry.objects.filter(verb="choose policy").order_by("pk")
    assert [one.saw["policy"] for one in entries] == ["nights", "the project's"]


@pytest.mark.parametrize("wrong", ["theirs", "0", "-1", "x", "9" * 30])
def test_no_other_policy_can_be_chosen(client: Client, agent: Agent, wrong: str) -> None:
    """Neither another project's nor one that is none: refused in words, and the choice stays."""
    theirs = make_policy(Project.objects.create(name="elsewhere"), step(EVERYONE))
    asked = str(theirs.pk) if wrong == "theirs" else wrong
    answer = client.post(PAGE + "escalation/", {"escalation": asked})
    assert answer.status_code == 422 and "This policy is gone" in answer.content.decode()
    agent.refresh_from_db()
    assert agent.escalation is None


@pytest.mark.parametrize(
    "wrong", [{"week": "none", "quarter": "3600"}, {"day": "7"}, {"older": ""}, {"day": "none"}]
)
def test_what_is_no_policy_changes_nothing(client: Client, agent: Agent, wrong: dict[str, str]) -> None:
    """A hole in the ages, or a value that was no choice, is refused in words."""
    answer = client.post(PAGE + "retention/", CHOICE | wrong)
    assert answer.status_code == 422 and "banner" in answer.content.decode()
    assert not RetentionPolicy.objects.exists()


def test_trying_changes_nothing(client: Client, project: Project) -> None:
    """A policy can be tried on what is there: how many would go, before anything does."""
    keeper = make_keeper(project)
    for nth in range(8):
        taken = keeper.take({"n": nth})
        Checkpoint.objects.filter(pk=taken.pk).update(at=timezone.now() - dt.timedelta(days=9 - nth))
    Rollback.objects.create(  # what it speaks of is not there any more
        project=project, agent=taken.agent, instance=taken.instance, checkpoint=uuid.uuid4(), by="x"
    )
    page = client.post(PAGE + "tried/", CHOICE, follow=True).content.decode()
    assert "Of 8 checkpoints 2 would go now and 6 stay." in page and chosen(page) == ["", *CHOICE.values()]
    assert not RetentionPolicy.objects.exists() and Checkpoint.objects.count() == 8


def test_who_may_look_and_who_may_change(agent: Agent, project: Project) -> None:
    """A viewer sees the policy and why the button is not theirs; a responder may not change it either."""
    for role in (Role.VIEWER, Role.RESPONDER):
        client = Client()
        client.force_login(member(project, f"{role}@example.com", role, role))
        assert "Needs the role operator" in client.get(PAGE).content.decode()
        assert client.post(PAGE + "retention/", CHOICE).status_code == 403
    assert not RetentionPolicy.objects.exists()


def test_a_policy_set_elsewhere_is_said(client: Client, agent: Agent) -> None:
    """What is no choice of the form stands there in words until a choice replaces it."""
    by = access.automation("a program", agent.project_id)
    retention.set_policy(actor=by, agent=agent, steps=[(60, 0), (None, 5)], now=timezone.now())
    assert "up to 1 min: all; older: one in 5 s" in client.get(PAGE).content.decode()
