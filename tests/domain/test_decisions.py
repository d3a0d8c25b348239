"""Decisions: one of two clicks counts, an old page cannot act, each pause is settled by itself."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from agents.models import Agent, AuditEntry, Command, Entry, Incident, Instance, Pause, Project, User
from agents.services import commands, decisions, incidents, pauses
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW

pytestmark = pytest.mark.django_db
PROCESS, OTHER = "a" * 32, "b" * 32


def decide(user: User, incident: Incident, verb: Any = "resume", **more: Any) -> decisions.Outcome:
    more = {"version": incident.version, "reason": "fixed outside", "now": NOW, **more}
    who = cast.actor(user, incident.project)
    return decisions.decide(actor=who, incident_id=incident.pk, verb=verb, **more)


def withdraw(user: User, incident: Incident) -> decisions.Outcome:
    who = cast.actor(user, incident.project)
    return decisions.withdraw(actor=who, incident_id=incident.pk, version=incident.version, now=NOW)


def receipt(instance: Instance, command: Command, state: Any, **more: Any) -> commands.Receipt:
    more = {"epoch": 1, "process": PROCESS, "now": NOW, "why": "", **more}
    instance.refresh_from_db()
    return commands.receipt(instance=instance, command_id=command.pk, state=state, **more)


def test_a_resume_reaches_the_agent_and_ends_the_pause(project: Project, alice: User) -> None:
    """The decision orders a command with the guidance; the agent's snapshot settles it, on probation."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    outcome = decide(alice, cast.only_incident(), guidance="use the new address")
    assert (outcome.name, outcome.version) == ("decided", 2)
    (command,) = commands.waiting(instance, 0)
    assert (command["kind"], command["payload"]["guidance"]) == ("resume", "use the new address")
    assert Pause.objects.get().state == "decided" and Agent.objects.get().status == "paused"
    cast.says(instance, "probation", settled=cast.settled(pause))
    assert (Pause.objects.get().state, cast.only_incident().state) == ("lifted", "applied")
    assert Agent.objects.get().status == "probation" and commands.waiting(instance, 0) == []


def test_what_is_done_is_written_down(project: Project, alice: User) -> None:
    """A decision stands in the timeline and, with what was seen, in the audit log."""
    cast.spends_its_budget(cast.worker(project))
    decide(alice, cast.only_incident())
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.saw["version"]) == ("alice@example.com", "resume", 1)
    assert Entry.objects.get(kind="decision").ref == str(cast.only_incident().pk)


def test_the_second_decision_loses_and_is_told_who_won(project: Project, alice: User) -> None:
    """P8: whoever decides from the same version a moment later changes nothing."""
    cast.spends_its_budget(cast.worker(project))
    shown = cast.only_incident()
    decide(alice, shown)
    second = decide(alice, shown, "stop")
    assert second.name == "lost" and "alice@example.com decided first" in second.sentence
    assert Command.objects.count() == 1


@pytest.mark.parametrize("version", [0, -1, 2, 99])
def test_any_version_but_the_current_is_refused(project: Project, alice: User, version: int) -> None:
    """P9: a decision names the version that was shown."""
    cast.spends_its_budget(cast.worker(project))
    assert decide(alice, cast.only_incident(), version=version).name == "stale"
    assert Command.objects.count() == 0


def test_a_stale_approval_cannot_act(project: Project, alice: User) -> None:
    """P9: after a counted failure, a joined agent or a new status, the old version is refused."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    cast.spends_its_budget(first, failure=cast.fails(first))
    shown = cast.only_incident()
    cast.spends_its_budget(second, failure=cast.fails(second))
    stale = decide(alice, shown)
    assert stale.name == "stale" and stale.version == cast.only_incident().version
    assert decide(alice, cast.only_incident()).name == "decided"


def test_another_projects_incident_is_not_there(project: Project, charlie: User) -> None:
    """Nobody decides over a project that is not theirs."""
    cast.spends_its_budget(cast.worker(project))
    elsewhere = Project.objects.get(name="elsewhere")
    who = cast.actor(charlie, elsewhere)
    incident = cast.only_incident()
    outcome = decisions.decide(
        actor=who, incident_id=incident.pk, verb="resume", version=incident.version, reason="", now=NOW
    )
    assert outcome.name == "not_found"


def test_decisions_are_settled_pause_by_pause(project: Project, alice: User) -> None:
    """One agent of a shared incident may be decided first; the incident waits for the other."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    one = cast.spends_its_budget(first, failure=cast.fails(first))
    two = cast.spends_its_budget(second, failure=cast.fails(second))
    assert len(decide(alice, cast.only_incident(), agents=["a"]).results) == 1
    assert cast.only_incident().state == "open"
    cast.says(first, "running", settled=cast.settled(one))
    assert cast.only_incident().state == "open"
    decide(alice, cast.only_incident())
    assert cast.only_incident().state == "decided"
    cast.says(second, "running", settled=cast.settled(two))
    incidents.close_applied(NOW)
    assert cast.only_incident().state == "closed"


def test_a_dead_process_takes_it_up_when_it_next_starts(project: Project, alice: User) -> None:
    """The command waits for the next life, which says what it obeyed."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    outcome = decide(alice, cast.only_incident())
    assert outcome.sentence == "Taken up when it next starts."
    assert outcome.results[0].taken_up == "when it next starts"
    answer = cast.says(instance, "idle", pause=cast.pause_said(pause.pk)).pause
    assert answer is not None and answer["decided"]
    cast.says(instance, "probation", settled=cast.settled(pause))
    assert Pause.objects.get().state == "lifted"


def test_what_nobody_took_up_can_be_withdrawn(project: Project, alice: User) -> None:
    """The pause waits again under a new version; the log and the timeline have it; no run hears of it."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    decide(alice, cast.only_incident(), guidance="go on")
    (command,) = Command.objects.all()
    outcome = withdraw(alice, cast.only_incident())
    incident = cast.only_incident()
    assert (outcome.name, incident.state, incident.decided_at) == ("withdrawn", "open", None)
    assert outcome.version == incident.version == 3
    assert (Pause.objects.get().state, commands.waiting(instance, 0)) == ("paused", [])
    assert receipt(instance, command, "taken").error == "overtaken"
    cast.says(instance, "running", settled=cast.settled(pause))
    assert Pause.objects.get().state in pauses.HOLDING
    assert AuditEntry.objects.get(verb="withdraw").saw["version"] == 2
    assert Entry.objects.filter(kind="decision", name="withdraw", outcome="withdrawn").count() == 1
    assert decide(alice, cast.only_incident()).name == "decided"


def test_what_a_run_took_up_is_not_withdrawn(project: Project, alice: User) -> None:
    """Of the run that takes it and the human who takes it back one is first, and the other is told so."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    shown = cast.only_incident()
    receipt(instance, Command.objects.get(), "taken")
    late = withdraw(alice, shown)
    assert (late.name, Command.objects.get().state) == ("taken_up", "taken")
    assert "refund-desk took it up at 03:12:04" in late.sentence
    cast.says(instance, "probation", settled=cast.settled(pause))
    assert withdraw(alice, cast.only_incident()).name == "taken_up" and Pause.objects.get().state == "lifted"


def test_a_stop_said_again_at_a_refused_start_undoes_no_start(project: Project, alice: User) -> None:
    """A stopped agent says so at every start; the order to start again waits for it all the same."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    decide(alice, cast.only_incident(), verb="stop")
    stop = cast.settled(pause, "stop")
    cast.says(instance, "stopped", pause=cast.pause_said(pause.pk, stopped=True), settled=stop)
    who = cast.actor(alice, project)
    assert decisions.start(actor=who, agent=instance.agent, reason="try", now=NOW).name == "decided"
    cast.says(instance, "stopped", pause=cast.pause_said(pause.pk, stopped=True), settled=stop)
    assert Pause.objects.get().state == "decided"
    assert [command["kind"] for command in commands.waiting(instance, 0)][-1:] == ["start"]


def test_a_withdrawal_names_the_version_it_was_shown(project: Project, alice: User) -> None:
    """An old page withdraws nothing; a second withdrawal finds nothing."""
    cast.spends_its_budget(cast.worker(project))
    old = cast.only_incident()
    assert withdraw(alice, old).name == "nothing_to_decide"
    decide(alice, old)
    incidents.bump(old.pk)
    assert withdraw(alice, old).name == "lost" and Command.objects.get().state == "ordered"
    assert withdraw(alice, cast.only_incident()).name == "withdrawn"
    assert withdraw(alice, cast.only_incident()).name == "nothing_to_decide"


def test_withdrawing_a_start_leaves_it_stopped(project: Project, alice: User) -> None:
    """The agent that nobody started yet stays stopped, and can be started again."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    decide(alice, cast.only_incident(), "stop")
    who = cast.actor(alice, project)
    decisions.start(actor=who, agent=instance.agent, reason="ready", now=NOW)
    assert withdraw(alice, cast.only_incident()).name == "withdrawn"
    assert (Pause.objects.get().state, Agent.objects.get().status) == ("stopped", "stopped")
    assert decisions.start(actor=who, agent=instance.agent, reason="", now=NOW).name == "decided"


def test_a_receipt_settles_as_well_as_a_snapshot(project: Project, alice: User) -> None:
    """The done receipt ends the pause; the snapshot that follows changes nothing more."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    command = Command.objects.get()
    assert receipt(instance, command, "taken").state == "taken"
    assert receipt(instance, command, "done").state == "done"
    version = cast.only_incident().version
    assert Pause.objects.get().state == "lifted" and cast.only_incident().state == "applied"
    cast.says(instance, "probation", settled=cast.settled(pause))
    assert cast.only_incident().version == version


def test_one_process_takes_a_command(project: Project, alice: User) -> None:
    """The first to take it acts, a repeat gets the same answer, another process does not act."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    command = Command.objects.get()
    assert receipt(instance, command, "taken").ok
    assert receipt(instance, command, "taken").ok
    assert receipt(instance, command, "taken", process=OTHER).error == "taken"
    assert receipt(instance, command, "done", process=OTHER).error == "taken"


@pytest.mark.parametrize("more", [{"epoch": 2}, {"now": NOW + 2 * MINUTE}])
def test_a_command_whose_taker_died_is_taken_again(project: Project, alice: User, more: Any) -> None:
    """A newer epoch, or a minute without done, lets another process take it."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    command = Command.objects.get()
    receipt(instance, command, "taken")
    assert receipt(instance, command, "taken", process=OTHER, **more).ok


def test_an_older_epoch_obeys_nothing(project: Project, alice: User) -> None:
    """P12: the fenced process is told so."""
    instance = cast.worker(project, epoch=7)
    cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    assert receipt(instance, Command.objects.get(), "taken", epoch=6).error == "fenced"


def test_stop_is_a_state_and_start_ends_it(project: Project, alice: User) -> None:
    """A stopped agent stays so through restarts until it is started again."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decide(alice, cast.only_incident(), "stop")
    cast.says(instance, "stopped", settled=cast.settled(pause, "stop"))
    assert (Agent.objects.get().status, cast.only_incident().state) == ("stopped", "closed")
    answer = cast.says(instance, "idle").pause
    assert answer is not None and answer["stopped"]
    who = cast.actor(alice, project)
    outcome = decisions.start(actor=who, agent=instance.agent, reason="ready", now=NOW)
    assert outcome.name == "decided"
    cast.says(instance, "probation", settled=cast.settled(pause, "start"))
    assert (Agent.objects.get().status, Pause.objects.get().state) == ("probation", "lifted")
    again = decisions.start(actor=who, agent=instance.agent, reason="", now=NOW)
    assert again.name == "nothing_to_decide"


def test_stopping_the_dead_is_true_at_once(project: Project, alice: User) -> None:
    """Where no process lives, a stop waits for nobody."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    assert decide(alice, cast.only_incident(), "stop").results[0].result == "stopped"
    assert (Agent.objects.get().status, cast.only_incident().state) == ("stopped", "closed")


def test_a_running_agent_is_stopped_from_its_page(project: Project, alice: User) -> None:
    """It is paused first, then told to stop: two commands, in this order."""
    instance = cast.worker(project)
    outcome = decisions.stop(actor=cast.actor(alice, project), agent=instance.agent, reason="", now=NOW)
    assert outcome.name == "decided"
    assert [command["kind"] for command in commands.waiting(instance, 0)] == ["pause", "stop"]


def test_an_invented_settlement_lifts_nothing(project: Project) -> None:
    """P7: an agent that names a command nobody ordered stays paused."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    invented = {"pause": str(pause.pk), "command": str(uuid.uuid4()), "verb": "resume"}
    cast.says(instance, "running", settled=invented)
    assert Pause.objects.get().state in pauses.HOLDING and Agent.objects.get().status == "pausing"


def test_a_new_pause_after_a_resume_is_a_new_incident(project: Project, alice: User) -> None:
    """An agent that obeyed and broke again offline tells both in one snapshot, and both count."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decide(alice, cast.only_incident())
    again = cast.pause_said(limit="probation")
    cast.says(instance, "paused", settled=cast.settled(pause), pause=again)
    assert Incident.objects.count() == 2
    assert Pause.objects.get(pk=pause.pk).state == "lifted"
    assert Pause.objects.get(pk=again["id"]).state == "paused"
