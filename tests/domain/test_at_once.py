"""Races, with real connections: of many at once exactly one counts."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from agents.models import (
    Agent,
    AlertTarget,
    Attempt,
    Command,
    Decision,
    Effect,
    Entry,
    Incident,
    Instance,
    Membership,
    Outbox,
    Pause,
    Project,
    Proposal,
    Role,
    User,
)
from agents.services import approvals, audit, commands, decisions, pauses, people, sending, watchdog
from checkpoints.services import confirming
from tests.conftest import member
from tests.domain import cast
from tests.domain.cast import NOW
from tests.faults.schedule import Schedule

pytestmark = pytest.mark.django_db(transaction=True)
CLICKS = 50


def at_once(call: Callable[[int], Any], times: int) -> list[Any]:
    """Call it from that many threads, let loose together, each with its own connection; errors are raised."""
    gate, found, errors = threading.Barrier(times), [], []

    def run(number: int) -> None:
        try:
            gate.wait(20)
            found.append(call(number))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return found


def test_fifty_clicks_make_one_decision(project: Project, alice: User, schedule: Schedule) -> None:
    """P8: of fifty decisions from one version one counts; everyone else is told who won."""
    who, rounds = cast.actor(alice, project), schedule.rounds(8, 200)
    for number in rounds:
        pause = cast.spends_its_budget(cast.worker(project, f"agent-{number}"))

        def click(_: int, incident_id: int = pause.incident_id) -> decisions.Outcome:
            return decisions.decide(
                actor=who, incident_id=incident_id, verb="resume", version=1, reason="x", now=NOW
            )

        outcomes = at_once(click, CLICKS)
        assert Counter(outcome.name for outcome in outcomes) == {"decided": 1, "lost": CLICKS - 1}
        assert all("alice@example.com decided first" in o.sentence for o in outcomes if o.name == "lost")
        assert Decision.objects.filter(incident_id=pause.incident_id).count() == 1
    assert Command.objects.count() == len(rounds) and audit.verify().broken is None


def test_two_who_remove_each_other_leave_one(project: Project) -> None:
    """Of two administrators who take each other's place at once one is first; the project keeps one."""
    ada, eve = (member(project, f"{name}@example.com", name, Role.ADMIN) for name in ("ada", "eve"))
    theirs = [Membership.objects.get(user=user) for user in (eve, ada)]
    for _ in range(10):

        def remove(n: int) -> bool:
            try:
                return people.remove(actor=cast.actor((ada, eve)[n], project), pk=theirs[n].pk, now=NOW)
            except people.Refused:
                return False

        assert sorted(at_once(remove, 2)) == [False, True]
        gone = next(one for one in theirs if not Membership.objects.filter(pk=one.pk).exists())
        Membership.objects.bulk_create([gone])


def test_agents_that_fall_ill_together_share_one_incident(project: Project) -> None:
    """Twelve agents with one failure at the same moment open one incident."""
    workers = [cast.worker(project, f"agent-{number}") for number in range(12)]
    failures = [cast.fails(worker) for worker in workers]
    at_once(lambda n: cast.spends_its_budget(workers[n], failure=failures[n]), len(workers))
    assert Incident.objects.count() == 1
    assert Pause.objects.count() == 12 and cast.only_incident().version == 12


def test_decisions_and_snapshots_do_not_block_each_other(project: Project, alice: User) -> None:
    """Agents that report while their shared incident is decided: nobody waits in a circle."""
    workers = [cast.worker(project, f"agent-{number}") for number in range(6)]
    held = [cast.spends_its_budget(worker, failure=cast.fails(worker)) for worker in workers]
    who = cast.actor(alice, project)

    def act(number: int) -> None:
        worker, pause = workers[number % 6], held[number % 6]
        if number % 3 == 0:
            version = Incident.objects.get(pk=held[0].incident_id).version
            decisions.decide(
                actor=who, incident_id=held[0].incident_id, verb="resume", version=version, reason="", now=NOW
            )
        elif number % 3 == 1:
            cast.says(worker, "paused", pause=cast.pause_said(pause.pk), doing=str(number))
        else:
            pauses.order(actor=who, agent=worker.agent, reason="", now=NOW)

    at_once(act, 18)
    assert set(Pause.objects.values_list("state", flat=True)) <= {"paused", "decided"}


def test_one_of_many_processes_takes_a_command(project: Project, alice: User) -> None:
    """A command that ten waiting processes hear of is obeyed by one."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decisions.decide(
        actor=cast.actor(alice, project), incident_id=pause.incident_id, verb="resume", version=1,
        reason="", now=NOW,
    )  # fmt: skip
    command = Command.objects.get()

    def take(_: int) -> str:
        with transaction.atomic():
            locked = Instance.objects.select_for_update().get(pk=instance.pk)
            return commands.receipt(
                instance=locked, command_id=command.pk, epoch=0, process=uuid.uuid4().hex, state="taken",
                why="", now=NOW,
            ).error  # fmt: skip

    assert Counter(at_once(take, 10)) == {"": 1, "taken": 9}


def takes_up(pause: Pause) -> str:
    """The instance's process says that it obeys the pause's command; why it may not, if so."""
    with transaction.atomic():
        locked = Instance.objects.select_for_update().get(pk=pause.instance_id)
        return commands.receipt(
            instance=locked, command_id=Command.objects.get(pause=pause).pk, epoch=0, process="a" * 32,
            state="taken", why="", now=NOW,
        ).error  # fmt: skip


def test_of_a_run_and_a_withdrawal_one_is_first(project: Project, alice: User, schedule: Schedule) -> None:
    """The run takes the decision up or the human takes it back, never both, and the other is told."""
    who, firsts = cast.actor(alice, project), Counter[str]()
    for number in schedule.rounds(8, 50):
        instance = cast.worker(project, f"agent-{number}")
        pause = cast.spends_its_budget(instance)
        decide = {"incident_id": pause.incident_id, "reason": "x", "now": NOW}
        decisions.decide(actor=who, verb="resume", version=1, **decide)  # type: ignore[arg-type]

        def act(turn: int, pause: Pause = pause) -> str:
            if turn == 0:
                at = pause.incident_id
                shown = Incident.objects.get(pk=at).version
                return decisions.withdraw(actor=who, incident_id=at, version=shown, now=NOW).name
            return f"run: {takes_up(pause) or 'took it'}"

        found = set(at_once(act, 2))
        assert found in ({"withdrawn", "run: overtaken"}, {"taken_up", "run: took it"})
        pause.refresh_from_db()
        assert pause.state == ("paused" if "withdrawn" in found else "decided")
        firsts.update(found)
    assert sum(firsts.values()) == 2 * (firsts["withdrawn"] + firsts["taken_up"])


def test_two_beats_notice_a_silence_once(project: Project) -> None:
    """P14: eight watchdogs at the same moment make one failure, one incident, one alert."""
    AlertTarget.objects.create(project=project, kind="email", label="x", address="oncall@example.com")
    for number in range(5):
        cast.worker(project, f"agent-{number}")
    at_once(lambda _: watchdog.look(NOW + dt.timedelta(seconds=61)), 8)
    assert Incident.objects.count() == 5 and Outbox.objects.count() == 5
    assert Entry.objects.filter(kind="failure").count() == 5


def test_two_beats_ask_once_about_what_may_have_happened(project: Project) -> None:
    """Effects of two instances of one agent are asked about in one incident, whoever looks when."""
    agent = cast.make_agent(project)
    for name in ("w1", "w2"):
        instance = cast.make_instance(agent, name)
        Effect.objects.create(
            id=f"{name}-1", instance=instance, run_id=uuid.uuid4(), name="refund", state="unknown",
            begun_at=NOW, ended_at=NOW,
        )  # fmt: skip
    at_once(lambda _: watchdog.look(NOW), 8)
    incident = cast.only_incident()
    assert incident.instances.count() == 2 and Effect.objects.filter(incident=incident).count() == 2


def test_two_workers_never_claim_one_message(project: Project) -> None:
    """Each row is claimed by one worker."""
    AlertTarget.objects.create(project=project, kind="email", label="x", address="oncall@example.com")
    for number in range(8):
        cast.spends_its_budget(cast.worker(project, f"agent-{number}"))
    claimed = [attempt for attempt in at_once(lambda _: sending.claim(NOW), 16) if attempt is not None]
    assert len(claimed) == 8 == len({attempt.outbox_id for attempt in claimed})
    assert Attempt.objects.count() == 8


def test_fifty_second_people_make_one_decision(project: Project, alice: User) -> None:
    """A proposal is confirmed once, and never by whoever asked for it, however many click at once."""
    seconds = [member(project, f"second-{n}@example.com", f"Second {n}", Role.RESPONDER) for n in range(10)]
    actors = [cast.actor(user, project) for user in (alice, *seconds)]
    for number in range(4):
        pause = cast.spends_its_budget(cast.worker(project, f"agent-{number}"))
        Agent.objects.update(two_people=True)
        decisions.decide(
            actor=actors[0], incident_id=pause.incident_id, verb="resume", version=1, reason="x", now=NOW
        )
        proposal = Proposal.objects.get(incident_id=pause.incident_id)

        def click(n: int, proposal: Proposal = proposal) -> str:
            return confirming.confirm(
                actor=actors[n % len(actors)], incident_id=proposal.incident_id, id=proposal.pk,
                version=1, now=NOW,
            ).name  # fmt: skip

        found = Counter(at_once(click, CLICKS))
        assert found["decided"] == 1 and set(found) <= {"decided", "lost", "own"}
        assert Decision.objects.filter(incident_id=pause.incident_id).count() == 1
    assert audit.verify().broken is None


def test_a_confirmation_and_a_decline_at_once_agree(project: Project, alice: User, bob: User) -> None:
    """Either it was confirmed and decided, or declined and not."""
    Membership.objects.filter(user=bob).update(role=Role.RESPONDER)
    one, two = cast.actor(alice, project), cast.actor(bob, project)
    for number in range(12):
        pause = cast.spends_its_budget(cast.worker(project, f"agent-{number}"))
        Agent.objects.update(two_people=True)
        decisions.decide(
            actor=one, incident_id=pause.incident_id, verb="resume", version=1, reason="x", now=NOW
        )
        proposal = Proposal.objects.get(incident_id=pause.incident_id)

        def race(n: int, proposal: Proposal = proposal) -> None:
            if n:
                confirming.confirm(
                    actor=two, incident_id=proposal.incident_id, id=proposal.pk, version=1, now=NOW
                )
            else:
                approvals.decline(
                    actor=one, incident_id=proposal.incident_id, id=proposal.pk, reason="", now=NOW
                )

        at_once(race, 2)
        proposal.refresh_from_db()
        decided = Decision.objects.filter(incident_id=pause.incident_id).exists()
        assert (proposal.state, decided) in (("confirmed", True), ("declined", False))
