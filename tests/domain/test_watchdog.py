"""The watchdog: what nobody reports is noticed once, on time, and never because of us."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

from agents.models import (
    Agent,
    Command,
    Entry,
    Heartbeat,
    Incident,
    Instance,
    Outbox,
    Pause,
    Presence,
    Project,
    Run,
    User,
)
from agents.services import accounts, blockages, decisions, pauses, watchdog
from sickbay import budget
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db
SILENT = NOW + 61 * SECOND


def running(project: Project, name: str = "refund-desk", **fields: Any) -> tuple[Instance, Run]:
    """An instance with its newest run, last heard of now."""
    instance = cast.worker(project, name, epoch=1, **fields)
    return instance, Run.objects.create(instance=instance, epoch=1, started_at=NOW)


def failures_of(outcome: str) -> int:
    return Entry.objects.filter(kind="failure", outcome=outcome).count()


def test_a_silent_agent_is_noticed_once(project: Project) -> None:
    """P14: after a minute it is silent: a failure, an incident; looking again, or twice, adds nothing."""
    running(project)
    assert watchdog.look(NOW + 59 * SECOND).silent == 0
    assert [watchdog.look(SILENT).silent, watchdog.look(SILENT).silent] == [1, 0]
    assert (Agent.objects.get().status, cast.only_incident().cause) == ("silent", "silence")
    assert failures_of("silence") == 1 and Instance.objects.get().consecutive == 1


def test_a_scheduler_that_was_down_notices_late_but_once(project: Project) -> None:
    """P14: five hours late is still one silence and one vanished run."""
    running(project)
    watchdog.look(NOW + 300 * MINUTE)
    watchdog.look(NOW + 301 * MINUTE)
    assert Incident.objects.count() == 1 and failures_of("silence") == 1


def test_a_silence_closes_by_itself_and_says_so(project: Project) -> None:
    """Heard again: the agent shows what it reported, the incident is closed, the timeline says why."""
    instance, _ = running(project)
    watchdog.look(SILENT)
    watchdog.seen([instance.pk], SILENT + 5 * SECOND)
    assert watchdog.look(SILENT + 6 * SECOND).heard == 1
    assert (Agent.objects.get().status, cast.only_incident().state) == ("running", "closed")
    assert "closed by itself" in Entry.objects.get(kind="signal").title


def test_a_beat_never_goes_back_in_time(project: Project) -> None:
    """A late report of an earlier beat changes nothing."""
    instance, _ = running(project)
    watchdog.seen([instance.pk], NOW - MINUTE)
    assert Heartbeat.objects.get().last_seen == NOW


@pytest.mark.parametrize("fields", [{"live": False}, {"beats": False}])
def test_who_owes_no_beats_is_not_silent(project: Project, fields: dict[str, bool]) -> None:
    """A finished process and a frozen host are never called silent."""
    running(project, **fields)
    assert watchdog.look(SILENT).silent == 0 and not Incident.objects.exists()


def test_a_paused_agent_that_goes_is_still_paused(project: Project) -> None:
    """A pause stands above silence: no failure, no second incident, only that its process is gone."""
    instance, _ = running(project)
    cast.spends_its_budget(instance)
    watchdog.look(SILENT)
    instance.refresh_from_db()
    assert (instance.status, instance.gone_since) == ("paused", NOW)
    assert Incident.objects.count() == 1 and failures_of("silence") == 0


def test_a_silence_that_was_a_crash_is_one_failure(project: Project) -> None:
    """After ten silent minutes the run has vanished; the crash takes the silence's place in the account."""
    instance, run = running(project, doing="issue_refund")
    watchdog.look(SILENT)
    looked = watchdog.look(NOW + 11 * MINUTE)
    run.refresh_from_db()
    instance.refresh_from_db()
    assert (looked.vanished, run.state, instance.live) == (1, "vanished", False)
    assert [a[0] for a in instance.account["added"]] == [f"crash-{run.pk.hex}"]
    assert failures_of("crash") == 1 and instance.consecutive == 1
    assert watchdog.look(NOW + 12 * MINUTE).vanished == 0


def test_a_crash_the_agent_told_counts_once(project: Project) -> None:
    """The agent's own account has seen it: the server's addition, and the silence, are dropped."""
    instance, run = running(project, doing="x")
    watchdog.look(SILENT)
    watchdog.look(NOW + 11 * MINUTE)
    crash = budget.Failure(f"crash-{run.pk.hex}", "x", 0.0)
    cast.says(instance, account=budget.dump(budget.fail(budget.Account(), crash), 0.0), now=NOW + 12 * MINUTE)
    assert (instance.account["added"], instance.consecutive) == ([], 1)


def test_a_process_that_slept_comes_back(project: Project) -> None:
    """Taken for gone after ten minutes, heard after all: it lives, and its run goes on."""
    instance, run = running(project)
    watchdog.look(NOW + 11 * MINUTE)
    watchdog.look(NOW + 11 * MINUTE)
    watchdog.seen([instance.pk], NOW + 12 * MINUTE)
    assert watchdog.look(NOW + 12 * MINUTE).heard == 1
    run.refresh_from_db()
    assert (run.state, Agent.objects.get().status) == ("running", "running")


def presence(id: uuid.UUID, since: dt.datetime, seen_at: dt.datetime) -> None:
    Presence.objects.update_or_create(id=id, defaults={"since": since, "seen_at": seen_at})


def test_a_lost_server_process_is_no_silence(project: Project) -> None:
    """The agents of a process of ours that died get two minutes to come back to another."""
    ours, other = uuid.uuid4(), uuid.uuid4()
    instance, _ = running(project)
    watchdog.seen([instance.pk], NOW, ours)
    presence(other, NOW - MINUTE, SILENT)
    assert watchdog.look(SILENT).silent == 0
    presence(other, NOW - MINUTE, NOW + 121 * SECOND)
    assert watchdog.look(NOW + 121 * SECOND).silent == 1


def test_nobody_is_silent_while_nobody_listens(project: Project) -> None:
    """With every server process down nothing is judged; after the restart they get two minutes."""
    ours, fresh = uuid.uuid4(), uuid.uuid4()
    instance, _ = running(project)
    watchdog.seen([instance.pk], NOW, ours)
    later = NOW + 60 * MINUTE
    assert watchdog.look(later).silent == 0
    watchdog.seen([], later, fresh)
    assert watchdog.look(later + 5 * SECOND).silent == 0
    presence(fresh, later, later + 121 * SECOND)
    assert watchdog.look(later + 121 * SECOND).silent == 1


def test_a_machine_that_slept_silences_nobody(project: Project) -> None:
    """A server process that stood still itself begins to hear anew when it wakes."""
    ours = uuid.uuid4()
    instance, _ = running(project)
    watchdog.seen([instance.pk], NOW, ours)
    woke = NOW + 60 * MINUTE
    watchdog.seen([], woke, ours)
    assert Presence.objects.get().since == woke
    assert watchdog.look(woke + SECOND).silent == 0


def test_a_missed_start_is_noticed_once(project: Project) -> None:
    """A job that did not start within its grace is a failure and an incident, however late anyone looked."""
    agent = cast.make_agent(project, every_s=3600.0, grace_s=60.0, due_at=NOW)
    cast.make_instance(agent, live=False)
    assert watchdog.look(NOW + 60 * SECOND).missed == 0
    late = NOW + 150 * MINUTE
    assert [watchdog.look(late).missed, watchdog.look(late).missed] == [1, 0]
    agent.refresh_from_db()
    assert agent.due_at == NOW + 180 * MINUTE
    assert cast.only_incident().cause == "missed" and failures_of("silence") == 1


def test_missed_starts_that_spend_the_budget_are_decided_before_the_next(project: Project) -> None:
    """Three missed starts pause the job: it is shown so, and one incident asks, not the next start."""
    agent = cast.make_agent(project, every_s=60.0, grace_s=1.0, due_at=NOW)
    instance = cast.make_instance(agent, live=False)
    for turn in range(3):
        assert watchdog.look(NOW + turn * MINUTE + 10 * SECOND).missed == 1
    agent.refresh_from_db()
    (pause,) = Pause.objects.all()
    assert (agent.status, pause.state, pause.owner) == ("paused", "paused", "budget")
    assert pause.cause == "3 failures in a row, the limit is 3"
    assert cast.only_incident().cause == "missed" and pauses.holding(instance) == pause
    assert watchdog.look(NOW + 10 * MINUTE).missed == 0


def test_a_missed_start_closes_when_it_comes(project: Project) -> None:
    """The next run of the job closes the incident, which says so."""
    agent = cast.make_agent(project, every_s=60.0, grace_s=1.0, due_at=NOW)
    instance = cast.make_instance(agent, live=False)
    watchdog.look(NOW + 10 * SECOND)
    Run.objects.create(instance=instance, epoch=2, started_at=NOW + 20 * SECOND)
    watchdog.look(NOW + 25 * SECOND)
    assert cast.only_incident().state == "closed"


@pytest.mark.parametrize("status", ["paused", "stopped"])
def test_a_held_job_misses_nothing(project: Project, status: str) -> None:
    """A paused job is not expected to start."""
    agent = cast.make_agent(project, every_s=60.0, due_at=NOW, status=status)
    cast.make_instance(agent, live=False, status=status)
    assert watchdog.look(NOW + 10 * MINUTE).missed == 0


def test_a_stop_of_the_dead_is_nobodys_to_take_up(project: Project, alice: User) -> None:
    """It is true at once, so nobody is paged for it ten minutes later."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Instance.objects.update(live=False, gone_since=NOW)
    decisions.decide(
        actor=cast.actor(alice, project),
        incident_id=pause.incident_id,
        verb="stop",
        version=1,
        reason="x",
        now=NOW,
    )
    assert watchdog.look(NOW + 11 * MINUTE).not_taken_up == 0


def blocked_worker(project: Project, name: str, attempts: int = 20) -> Instance:
    instance, _ = running(project, name)
    blockages.note(instance, [(NOW, "transient")] * attempts)
    return instance


def test_blocked_is_one_incident_and_no_pause(project: Project) -> None:
    """Twenty transient errors, or ten minutes of them, block: shown and paged once, the budget untouched."""
    instance = blocked_worker(project, "a", attempts=3)
    assert watchdog.look(NOW + 30 * SECOND).blocked == 0
    watchdog.seen([instance.pk], NOW + 10 * MINUTE)
    assert [watchdog.look(NOW + 10 * MINUTE).blocked, watchdog.look(NOW + 10 * MINUTE).blocked] == [1, 0]
    cast.says(instance, "running", now=NOW + 10 * MINUTE)
    assert (Agent.objects.get().status, cast.only_incident().cause) == ("blocked", "blocked")
    instance.refresh_from_db()
    assert instance.consecutive == 0


def test_a_blockage_closes_at_the_first_success(project: Project) -> None:
    """It answers again: the agent shows what it reports, the incident closes by itself."""
    instance = blocked_worker(project, "a")
    watchdog.look(NOW)
    instance.refresh_from_db()
    blockages.note(instance, [(NOW, "ok")])
    watchdog.look(NOW + SECOND)
    assert (Agent.objects.get().status, cast.only_incident().state) == ("running", "closed")


def test_several_blocked_by_one_tool_share_an_incident(project: Project) -> None:
    """The incident is about the tool."""
    for name in ("a", "b"):
        instance = blocked_worker(project, name)
        Entry.objects.create(
            id=name, at=NOW, received_at=NOW, project_id=project.pk, agent_id=instance.agent_id, body="{}",
            instance_id=instance.pk, kind="action", name="search", outcome="failed", verdict="", ref="",
            title="",
        )  # fmt: skip
    watchdog.look(NOW)
    assert cast.only_incident().title == "search: nothing but transient errors"
    assert cast.only_incident().instances.count() == 2


def test_a_decision_nobody_took_up_pages_again_once(project: Project, alice: User) -> None:
    """After ten minutes the target is paged again, and not a third time."""
    from agents.models import AlertTarget

    AlertTarget.objects.create(project=project, kind="email", label="on call", address="oncall@example.com")
    pause = cast.spends_its_budget(cast.worker(project, live=False))
    decisions.decide(
        actor=cast.actor(alice, project), incident_id=pause.incident_id, verb="resume", version=1,
        reason="", now=NOW,
    )  # fmt: skip
    for minutes in (9, 11, 12):
        watchdog.look(NOW + minutes * MINUTE)
    assert Outbox.objects.filter(about="again").count() == 1
    assert Command.objects.get().paged_again_at == NOW + 11 * MINUTE


def test_a_probation_that_ends_closes_the_incident(project: Project, alice: User) -> None:
    """An applied incident stays until its agents have proven themselves."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    decisions.decide(
        actor=cast.actor(alice, project), incident_id=pause.incident_id, verb="resume", version=1,
        reason="", now=NOW,
    )  # fmt: skip
    cast.says(instance, "probation", settled=cast.settled(pause))
    watchdog.look(NOW)
    assert cast.only_incident().state == "applied"
    cast.says(instance, "running")
    watchdog.look(NOW)
    assert cast.only_incident().state == "closed"


def test_a_superseded_run_is_shown_not_counted(project: Project) -> None:
    """A run that never said how it ended, with a newer one long at work, has vanished; its agent counts."""
    instance, old = running(project)
    Instance.objects.update(epoch=2)
    Run.objects.create(instance=instance, epoch=2, started_at=NOW)
    later = NOW + 11 * MINUTE
    watchdog.seen([instance.pk], later)
    watchdog.look(later)
    old.refresh_from_db()
    assert old.state == "vanished" and failures_of("crash") == 0


def test_the_third_vanished_run_in_ten_minutes_counts(project: Project) -> None:
    """Without an action in flight a vanished run is shown only, until it is the third."""
    instance, run = running(project)
    counted = []
    for _ in range(3):
        run = Run.objects.create(instance=instance, epoch=1, started_at=NOW)
        watchdog.vanish(run, instance, in_flight="", countable=True, now=NOW)
        counted.append(failures_of("crash"))
    assert counted == [0, 0, 1]


def test_an_hour_is_counted_over_all_instances(project: Project) -> None:
    """The server adds the other instances' failures to each one's hour; the streak stays its own."""
    agent = cast.make_agent(project)
    first, second = cast.make_instance(agent, "w1"), cast.make_instance(agent, "w2")
    account = budget.fail(budget.Account(), budget.Failure("r1-1", "x", 0.0))
    cast.says(first, account=budget.dump(account, 0.0))
    merged = accounts.merged_for_wire(second, NOW + SECOND)
    assert merged["others"] == [["r1-1", 1.0]]
    assert (merged["consecutive"], merged["hourly"]) == (0, 1)
    assert accounts.merged_for_wire(second, NOW + 61 * MINUTE)["hourly"] == 0


@pytest.mark.parametrize("wire", [{}, {"number": "x"}, {"number": 1, "streak": 3, "hour": [], "seen": []}])
def test_a_broken_account_changes_nothing(project: Project, wire: dict[str, Any]) -> None:
    """A hostile account is left out; what was known stays."""
    instance = cast.worker(project)
    account = budget.fail(budget.Account(), budget.Failure("r1-1", "x", 0.0))
    cast.says(instance, account=budget.dump(account, 0.0))
    cast.says(instance, account=wire)
    assert instance.consecutive == 1


def test_what_is_silent_can_be_stopped(project: Project, alice: User) -> None:
    """An agent that will not come back is stopped from its incident, which is settled by that."""
    running(project)
    watchdog.look(SILENT)
    incident = cast.only_incident()
    who = cast.actor(alice, project)
    said = {
        "actor": who,
        "incident_id": incident.pk,
        "version": incident.version,
        "reason": "gone",
        "now": SILENT,
    }
    assert decisions.decide(verb="resume", **said).name == "nothing_to_decide"
    assert decisions.decide(verb="stop", **said).results[0].result == "stopped"
    assert (Agent.objects.get().status, cast.only_incident().state) == ("stopped", "closed")
    assert decisions.start(actor=who, agent=Agent.objects.get(), reason="", now=SILENT).name == "decided"
