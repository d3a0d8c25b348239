"""Hold the tool: who is told what, once, whoever starts meanwhile, until somebody lifts it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import Any

import pytest

from agents.models import (
    Agent,
    AuditEntry,
    Cause,
    Command,
    Entry,
    Incident,
    Instance,
    Kind,
    Project,
    ToolHold,
    User,
)
from agents.services import audit, commands, holds, overdue, registering
from tests.conftest import member
from tests.domain import cast
from tests.domain.cast import NOW, SECOND, actor
from tests.domain.test_at_once import at_once
from tests.domain.test_try_one_first import make_incident

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(project: Project) -> Incident:
    """Three agents that failed alike with one tool."""
    return make_incident(project)


def holds_it(who: User, incident: Incident, everywhere: bool = False) -> holds.Outcome:
    return holds.hold(
        actor=actor(who, incident.project), incident_id=incident.pk, everywhere=everywhere,
        reason="known bug", now=NOW,
    )  # fmt: skip


def lifts(who: User, held: ToolHold | None, now: dt.datetime = NOW + SECOND) -> holds.Outcome:
    assert held is not None
    return holds.lift(actor=actor(who, held.project), id=held.pk, reason="fixed outside", now=now)


def told(name: str) -> list[str] | None:
    """The tools in the last command of this agent that is still to be obeyed."""
    open_ = Command.objects.filter(instance__agent__name=name, kind="hold", state__in=("ordered", "taken"))
    assert open_.count() < 2
    found = open_.first()
    return None if found is None else [each["tool"] for each in found.payload["holds"]]


def starts(project: Project, name: str, instance: str = "main", epoch: int = 0) -> list[str]:
    """A process registers; the tools it is told are held."""
    said = registering.Registration(
        agent=name, process=uuid.uuid4().hex, run=uuid.uuid4().hex, started_at=NOW.timestamp(),
        sent_at=NOW.timestamp(), instance=instance, epoch=epoch,
    )  # fmt: skip
    answer = registering.register(project_id=project.pk, said=said, now=NOW)
    return [each["tool"] for each in answer["holds"]]


def test_every_agent_of_the_incident_is_told(alice: User, incident: Incident, project: Project) -> None:
    """By a command with the whole list, also where it is paused; nobody else is."""
    cast.worker(project, "other")
    outcome = holds_it(alice, incident)
    assert outcome.done and outcome.hold is not None
    assert [told(name) for name in ("one", "two", "three", "other")] == [["issue_refund"]] * 3 + [None]
    (said,) = Command.objects.get(instance__agent__name="one", kind="hold").payload["holds"]
    assert said == {
        "tool": "issue_refund", "by": "alice@example.com", "reason": "known bug", "since": NOW.timestamp()
    }  # fmt: skip
    lifts(alice, outcome.hold)
    assert told("one") == told("two") == [] and told("other") is None


def test_everywhere_means_those_to_come(alice: User, incident: Incident, project: Project) -> None:
    """The project's other agents, and whoever is new; another project's are not touched."""
    cast.worker(project, "other")
    elsewhere = Project.objects.create(name="elsewhere")
    cast.worker(elsewhere, "theirs")
    holds_it(alice, incident, everywhere=True)
    assert told("other") == ["issue_refund"] and told("theirs") is None
    assert starts(project, "newcomer") == ["issue_refund"] and starts(elsewhere, "newcomer") == []


def test_a_start_is_told_and_owes_nothing(alice: User, incident: Incident, project: Project) -> None:
    """The registration has the list, so that no command of before waits for ever."""
    outcome = holds_it(alice, incident)
    Instance.objects.filter(agent__name="one").update(live=False)
    Incident.objects.get().pauses.filter(instance__agent__name="one").update(state="lifted")
    assert starts(project, "one", epoch=5) == ["issue_refund"] and told("one") is None
    lifts(alice, outcome.hold)
    assert told("one") == [] and starts(project, "one", epoch=9) == []


def test_who_is_away_is_told_when_it_starts(alice: User, incident: Incident, project: Project) -> None:
    """No command is kept for a process that may never come."""
    Instance.objects.filter(agent__name="two").update(live=False)
    outcome = holds_it(alice, incident)
    later = NOW + dt.timedelta(hours=1)
    Command.objects.all().delete()
    lifts(alice, outcome.hold, later)
    assert told("two") is None and told("three") == []


def test_a_hold_stands_beside_another(alice: User, incident: Incident, project: Project) -> None:
    """Two incidents hold one tool: it is held until both are lifted, and told once."""
    other = make_incident_of(project, "issue_refund", incident)
    first, second = holds_it(alice, incident), holds_it(alice, other)
    assert told("one") == ["issue_refund"]
    lifts(alice, first.hold)
    assert told("one") == ["issue_refund"]
    lifts(alice, second.hold)
    assert told("one") == []


def make_incident_of(project: Project, tool: str, like: Incident) -> Incident:
    other = Incident.objects.create(
        project=project, agent=like.agent, cause=like.cause, title="t", group=like.group, opened_at=NOW
    )
    other.instances.set(like.instances.all())
    return other


def test_the_second_is_told_who_was_first(alice: User, project: Project, incident: Incident) -> None:
    """Holding twice makes one hold, lifting twice lifts once, and another project's is not there."""
    dora = member(project, "dora@example.com", "Dora", "responder")
    first, second = holds_it(alice, incident), holds_it(dora, incident)
    assert not second.done and second.sentence == "issue_refund is held already, by alice@example.com."
    assert lifts(dora, first.hold).done
    again = lifts(alice, first.hold)
    assert not again.done and again.sentence == "issue_refund was let go already, by dora@example.com."
    charlie = actor(dora, project)
    foreign = type(charlie)("person", "x", project.pk + 1)
    assert not holds.hold(actor=foreign, incident_id=incident.pk, everywhere=True, reason="x", now=NOW).done
    assert not holds.lift(actor=foreign, id=first.hold.pk if first.hold else 0, reason="x", now=NOW).done
    assert ToolHold.objects.count() == 1


def test_what_they_saw_is_written_down(alice: User, incident: Incident) -> None:
    """In the audit log with the calls that waited, and in the timeline."""
    outcome = holds_it(alice, incident)
    cast.says(Instance.objects.get(agent__name="one"), "paused", held={"issue_refund": 2})
    lifts(alice, outcome.hold)
    held, lifted = AuditEntry.objects.filter(verb__endswith=" the tool").order_by("id")
    assert (held.verb, held.saw["agents"], held.saw["waiting"]) == ("hold the tool", "one, two, three", 0)
    assert (lifted.verb, lifted.reason, lifted.saw["waiting"]) == ("lift the tool", "fixed outside", 2)
    assert audit.verify().broken is None
    titles = Entry.objects.filter(kind=Kind.DECISION, name__in=("hold", "lift")).values_list(
        "title", flat=True
    )
    assert sorted(titles) == [
        "issue_refund held by alice@example.com: known bug",
        "issue_refund lifted by alice@example.com: fixed outside",
    ]


def test_an_older_sdk_refuses_and_owes_nothing(alice: User, incident: Incident) -> None:
    """What it does not know it refuses: the command ends, and those behind it are obeyed."""
    holds_it(alice, incident)
    instance = Instance.objects.get(agent__name="one")
    command = Command.objects.get(instance=instance, kind="hold")
    said: dict[str, Any] = {"instance": instance, "command_id": command.pk, "epoch": instance.epoch}
    answer = commands.receipt(**said, process="a" * 32, state="refused", why="unknown kind", now=NOW)
    assert answer.ok and told("one") is None
    cast.says(instance, "paused")
    assert instance.held_calls is None
    cast.says(instance, "paused", held={})
    assert instance.held_calls == {}


@pytest.mark.parametrize("action", ["", "run", "start"])
def test_no_tool_no_hold(alice: User, incident: Incident, action: str) -> None:
    """Where no call has failed there is nothing to hold."""
    assert incident.group is not None
    type(incident.group).objects.update(action=action)
    assert not holds_it(alice, incident).done and not ToolHold.objects.exists()


def test_a_step_is_no_tool(project: Project) -> None:
    """A failure that came out of a step belongs to no call."""
    instance = cast.worker(project)
    run = uuid.uuid4()
    for name, body in (("step", '{"kind":"failure","counted":true}'), ("pay", '{"kind":"failure","act":3}')):
        failed = cast.fails(instance, name, run=run, seq=len(name))
        Entry.objects.filter(id=failed).update(body=body)
        pause = cast.spends_its_budget(instance, failure=failed)
        assert holds.tool_of(pause.incident) == ("pay" if name == "pay" else "")
        pause.delete()


def test_a_blocked_tool_is_held_too(project: Project) -> None:
    """An incident of nothing but transient errors names its tool in its title."""
    incident = Incident(cause=Cause.BLOCKED, title=f"charge{overdue.blockages.NOTHING_ELSE}")
    assert holds.tool_of(incident) == "charge"
    incident.title = f"it{overdue.blockages.NOTHING_ELSE}"
    assert holds.tool_of(incident) == ""


@pytest.mark.django_db(transaction=True)
def test_many_at_once_hold_once(project: Project, alice: User) -> None:
    """Of eight that hold one wins; of eight that lift one lifts; each agent is told once each time."""
    incident = make_incident(project)
    assert Counter(o.done for o in at_once(lambda _: holds_it(alice, incident), 8)) == {True: 1, False: 7}
    held = ToolHold.objects.get()
    assert Counter(o.done for o in at_once(lambda _: lifts(alice, held), 8)) == {True: 1, False: 7}
    assert Command.objects.filter(kind="hold").count() == 6 and told("one") == []


@pytest.mark.django_db(transaction=True)
def test_nobody_slips_between(project: Project, alice: User) -> None:
    """Workers that start while it is held, new or not, know of it by their registration or a command."""
    incident, agent = make_incident(project), Agent.objects.get(name="one")
    for turn in range(6):
        names = [f"w{turn}-{k}" for k in range(4)]

        def work(k: int, names: list[str] = names) -> tuple[str, list[str]] | None:
            if k == 4:
                assert holds_it(alice, incident, everywhere=True).done
                return None
            return names[k], starts(project, "one", names[k])

        for name, tools in filter(None, at_once(work, 5)):
            commanded = Command.objects.filter(instance__agent=agent, instance__name=name, kind="hold")
            assert tools == ["issue_refund"] or commanded.exists(), name
        assert lifts(alice, ToolHold.objects.get(lifted_at=None)).done
