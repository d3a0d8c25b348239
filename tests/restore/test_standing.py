"""How checkpoints stand, and who moves them."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from agents import access
from agents.models import Agent, AuditEntry, Entry, Incident, Instance, Kind, Project, User
from agents.services import decisions
from checkpoints import queries, standing
from checkpoints.models import Checkpoint
from checkpoints.services import standing as standings
from checkpoints.standing import Before, Facts
from tests import builders
from tests.contract.test_operators_api import Operator
from tests.domain import cast
from tests.restore.taker import Taker
from tests.restore.test_taking import messages

MINUTE = dt.timedelta(minutes=1)
NOW = dt.datetime(2026, 3, 4, 3, 12, tzinfo=dt.UTC)
SAID = [{"unknown": 1}, {"pass": 1}, {"fail": 1}]
FAILED = Before("suspect", tainted=True, proven=False)
UNPROVEN = Before("unproven", tainted=False, proven=False)


@pytest.mark.parametrize(
    ("facts", "before", "first", "stands"),
    [
        (Facts(), None, True, ("good", "start")),
        (Facts(passes=1), None, True, ("good", "verified")),
        (
            Facts(passes=1, resumed=True),
            Before("suspect", tainted=True, proven=False),
            False,
            ("good", "verified"),
        ),
        (
            Facts(fails=1, resumed=True),
            Before("suspect", tainted=True, proven=False),
            False,
            ("unproven", ""),
        ),
        (Facts(passes=1, resumed=True), Before("bad", tainted=True, proven=False), False, ("unproven", "")),
        (Facts(), Before("good", tainted=False, proven=False), False, ("unproven", "")),
        (Facts(passes=1), UNPROVEN, False, ("good", "verified")),
        (Facts(checks=1), UNPROVEN, False, ("good", "verified")),
        (Facts(passes=5, unknowns=1), UNPROVEN, False, ("unproven", "")),
        (Facts(passes=5, fails=1), UNPROVEN, False, ("unproven", "")),
        (Facts(passes=1), Before("unproven", tainted=True, proven=False), False, ("unproven", "")),
        (Facts(passes=1), Before("good", tainted=True, proven=False), False, ("good", "verified")),
        (Facts(passes=1, failing=True), UNPROVEN, False, ("suspect", "")),
        (Facts(), Before("suspect", tainted=False, proven=True), False, ("good", "verified")),
        (Facts(passes=1), Before("bad", tainted=False, proven=False), False, ("unproven", "")),
        (Facts(failing=True), None, True, ("suspect", "")),
    ],
)
def test_a_new_one_stands_by_what_happened_since_the_last_good_one(
    facts: Facts, before: Before | None, first: bool, stands: tuple[str, str]
) -> None:
    """A pass proves; a fail or an unknown stands in the way; an open failure makes it suspect."""
    ruling = standing.on_arrival(facts, before, is_first=first)
    assert (ruling.standing, ruling.proven_by) == stands
    assert ruling.soaks is (stands[0] == "unproven" and not ruling.tainted)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("facts", [{"passes": 1}, {"checks": 1}, {}])
def test_one_whose_files_went_on_changing_is_proven_by_nothing(facts: dict[str, int], first: bool) -> None:
    """Not by a verdict, time, or being the first; but the verdict that came with it counts for the next."""
    ruling = standing.on_arrival(Facts(**facts, moving=True), None if first else UNPROVEN, is_first=first)
    assert (ruling.standing, ruling.reason, ruling.soaks) == ("unproven", standing.MOVING, False)
    after = standing.on_arrival(
        Facts(), Before(ruling.standing, tainted=ruling.tainted, proven=ruling.proven), is_first=False
    )
    assert (after.standing, after.soaks) == (("good", False) if facts else ("unproven", True))


def test_what_went_on_changing_is_kept_with_it(taker: Taker) -> None:
    """The names are on the row and in the API; it waits for a human's word."""
    moving = ["a.txt", "logs/b.txt"]
    taker.take(messages(3), facts={"verdicts": {"pass": 1}, "moving": moving})
    found = queries.rows().get()
    assert (found.standing, found.moving, found.facts["moving"]) == ("unproven", moving, moving)
    taker.take(messages(3))
    newer = queries.rows().exclude(pk=found.pk).get()
    assert (newer.standing, newer.moving, newer.facts["moving"]) == ("good", None, [])


@pytest.mark.parametrize(
    ("failed_after", "successes", "minutes", "ruling"),
    [
        (None, 10, 10, "good"),
        (None, 10, 9, "wait"),
        (None, 9, 60, "wait"),
        (11, 10, 60, "good"),
        (9, 10, 60, "never"),
        (60, 9, 90, "never"),
    ],
)
def test_ten_actions_and_ten_minutes_prove(
    failed_after: int | None, successes: int, minutes: int, ruling: str
) -> None:
    """Without a failure between; a failure before that settles it for ever."""
    failure = NOW + failed_after * MINUTE if failed_after is not None else None
    assert standing.soaked(NOW, failure, successes, NOW + minutes * MINUTE) == ruling


pytestmark = pytest.mark.django_db


def entry(
    instance: Instance, at: dt.datetime, kind: str = "action", outcome: str = "ok", **more: str
) -> None:
    Entry.objects.create(
        id=uuid.uuid4().hex, at=at, received_at=at, project_id=instance.agent.project_id, kind=kind,
        agent_id=instance.agent_id, instance_id=instance.pk, outcome=outcome, name="x", title="", ref="",
        verdict=more.get("verdict", ""), body="{}",
    )  # fmt: skip


def taken(taker: Taker, count: int, **fields: object) -> Checkpoint:
    assert taker.take(messages(count), **fields).status_code == 200
    return taker.newest()


def test_time_makes_an_unproven_one_good(taker: Taker) -> None:
    """Once, and the agent's last known good moves on."""
    taken(taker, 1)
    second = taken(taker, 2)
    assert second.standing == "unproven" and second.soaks
    for n in range(10):
        entry(taker.instance(), second.at + n * dt.timedelta(seconds=1) + dt.timedelta(milliseconds=1))
    assert standings.settle(second.at + 9 * MINUTE) == 0
    assert standings.settle(second.at + 10 * MINUTE) == 1
    assert standings.settle(second.at + 20 * MINUTE) == 0
    second.refresh_from_db()
    assert (second.standing, second.proven_by) == ("good", "soak")
    assert Agent.objects.get().last_good == second.pk


def test_a_failure_within_the_ten_minutes_ends_the_wait(taker: Taker) -> None:
    """It is never looked at again."""
    taken(taker, 1)
    second = taken(taker, 2)
    entry(taker.instance(), second.at + MINUTE, kind="failure", outcome="error")
    standings.settle(second.at + 20 * MINUTE)
    second.refresh_from_db()
    assert (second.standing, second.soaks) == ("unproven", False)


def test_those_after_the_first_failure_of_an_incident_are_suspect(taker: Taker, project: Project) -> None:
    """And last known good is before it, though a later one was called good."""
    first = taken(taker, 1)
    instance = taker.instance()
    failed_at = timezone.now()
    for _ in range(3):
        entry(instance, timezone.now(), kind="failure", outcome="error")
    later = taken(taker, 2, facts={"checks": 1})
    assert later.standing == "good"
    incident = Incident.objects.create(
        project=project, agent=instance.agent, cause="budget", title="x", opened_at=timezone.now()
    )
    incident.instances.add(instance)
    assert queries.first_failure_at(incident, instance.agent_id) >= failed_at
    found = queries.last_known_good_of(incident, instance.agent_id)
    assert found is not None and found.pk == first.pk
    assert standings.settle(timezone.now()) == 1 and standings.settle(timezone.now()) == 0
    later.refresh_from_db()
    assert (later.standing, Agent.objects.get().last_good) == ("suspect", first.pk)


def test_a_humans_good_clears_what_descends_from_it(taker: Taker, project: Project) -> None:
    """What stood back only for a doubt before it is weighed again; doubts of its own stay."""
    doubt, proof, wrong = ({"verdicts": {"pass": 0, "fail": 0, "unknown": 0} | said} for said in SAID)
    taken(taker, 1)
    doubted, proven = taken(taker, 2, facts=doubt), taken(taker, 3, facts=proof)
    plain, own, below = taken(taker, 4), taken(taker, 5, facts=wrong), taken(taker, 6, facts=proof)
    assert {found.standing for found in (doubted, proven, plain, own, below)} == {"unproven"}
    who = access.automation("alice", project.pk)
    standings.judge(actor=who, checkpoint=doubted, verdict="good", reason="I looked", now=timezone.now())
    stands = [(c.standing, c.proven_by, c.soaks) for c in Checkpoint.objects.order_by("at", "id")[1:]]
    assert stands == [
        ("good", "human", False),
        ("good", "verified", False),
        ("unproven", "", True),
        ("unproven", "", False),
        ("unproven", "", False),
    ]
    assert Agent.objects.get().last_good == proven.pk


def test_a_human_judges_with_a_reason(taker: Taker, project: Project) -> None:
    """It is in the audit log and in the timeline, and the last known good follows."""
    first, second = taken(taker, 1), taken(taker, 2)
    operator = Operator(project)
    status, body = operator.post(
        f"checkpoints/{second.pk}/judge/", {"standing": "good", "reason": "I looked"}
    )
    assert (status, body["standing"], body["proven_by"]) == (200, "good", "human")
    assert Agent.objects.get().last_good == second.pk
    operator.post(f"checkpoints/{second.pk}/judge/", {"standing": "bad", "reason": "no, wrong"})
    assert Agent.objects.get().last_good == first.pk
    assert AuditEntry.objects.filter(verb="judge checkpoint").count() == 2
    assert Entry.objects.filter(kind=Kind.VERDICT, name="judged", ref=str(second.pk)).count() == 2
    assert Entry.objects.filter(kind=Kind.CHECKPOINT).count() == 2


def test_judging_needs_a_reason_and_the_right(taker: Taker, project: Project, charlie: User) -> None:
    """No reason: 422; another project's token: 404; an agent's token: 403."""
    found = taken(taker, 1)
    said = {"standing": "good", "reason": "x"}
    path = f"checkpoints/{found.pk}/judge/"
    assert Operator(project).post(path, {"standing": "good", "reason": " "})[0] == 422
    assert Operator(project).post(path, {"standing": "unproven", "reason": "x"})[0] == 422
    assert Operator(Project.objects.get(name="elsewhere")).post(path, said)[0] == 404
    assert Operator(project, "agent").post(path, said)[0] == 403
    assert Operator(project).get(f"checkpoints/{uuid.uuid4()}/")[0] == 404


def test_checkpoints_are_listed_by_pages(taker: Taker, project: Project) -> None:
    """The newest first, none twice, in a constant number of queries."""
    made = [str(taken(taker, count, label=f"n{count}").pk) for count in range(7)]
    operator, seen, before = Operator(project), [], {}
    for _ in range(3):
        _, body = operator.get("agents/refund-desk/checkpoints/", limit=3, **before)
        seen += [one["id"] for one in body["checkpoints"]]
        before = {"before": body["next"]}
    assert seen == made[::-1] and body["next"] is None
    one = operator.get(f"checkpoints/{made[3]}/")[1]
    assert (one["label"], one["parent"], one["facts"]["verdicts"]["pass"]) == ("n3", made[2], 0)
    assert one["code"] == "git:1a2b3c4" and len(one["memory"]) == 64
    assert operator.get("agents/refund-desk/checkpoints/", before="nonsense")[0] == 422


def test_a_new_checkpoint_makes_an_older_approval_stale(taker: Taker) -> None:
    """What a decider is shown has changed."""
    taken(taker, 1)
    pause = cast.spends_its_budget(taker.instance(), now=timezone.now())
    before = pause.incident.version
    taken(taker, 2)
    assert Incident.objects.get(pk=pause.incident_id).version > before


@pytest.mark.parametrize(("decided", "stands"), [(True, "good"), (False, "unproven")])
def test_what_a_human_let_go_on_is_no_longer_doubted(
    taker: Taker, project: Project, alice: User, decided: bool, stands: str
) -> None:
    """After a resume the next pass proves; the agent's word alone that there was one does not."""
    taken(taker, 1)
    pause = cast.spends_its_budget(taker.instance(), now=timezone.now())
    wrong = {"failing": True, "verdicts": {"pass": 0, "fail": 3, "unknown": 0}}
    assert taken(taker, 2, why="pause", facts=wrong).standing == "suspect"
    if decided:
        said = {"incident_id": pause.incident_id, "version": pause.incident.version, "reason": "fixed"}
        decisions.decide(actor=cast.actor(alice, project), verb="resume", now=timezone.now(), **said)
    found = taken(taker, 3, facts={"resumed": True, "verdicts": {"pass": 1, "fail": 0, "unknown": 0}})
    assert found.standing == stands


def test_a_checkpoint_stands_before_the_failure_that_followed_it(taker: Taker) -> None:
    """However long its upload took: what the run recorded after it comes after it."""
    taken(taker, 1)
    taker.wire.post_events(builders.action(), builders.failure(act=2), first=1)
    (failed_at,) = Entry.objects.filter(kind="failure").values_list("at", flat=True)
    late = taken(taker, 2, seq=1)
    assert late.at < failed_at
    ahead = taken(taker, 3, seq=2, at=taker.wire.now() - 60)
    assert failed_at < ahead.at, "what the run recorded before it comes before it"


@pytest.mark.parametrize("why", ["pause", "end"])
def test_what_a_pause_leaves_behind_makes_no_approval_stale(taker: Taker, why: str) -> None:
    """A decision in the first second counts: the pause takes a checkpoint, and shows nothing else."""
    taken(taker, 1)
    pause = cast.spends_its_budget(taker.instance(), now=timezone.now())
    before = pause.incident.version
    assert taken(taker, 2, why=why, facts={"failing": True}).standing == "suspect"
    assert Incident.objects.get(pk=pause.incident_id).version == before


def test_what_a_human_let_go_on_is_what_the_next_start_goes_on_from(
    taker: Taker, project: Project, alice: User
) -> None:
    """Its memory belongs to the files that are there; without the decision, and of what is damaged, never."""
    first = taken(taker, 1)
    pause = cast.spends_its_budget(taker.instance(), now=timezone.now())
    doubted = taken(taker, 2, why="pause", facts={"failing": True})
    instance = taker.instance()
    assert queries.newest_usable(instance) == first
    said = {"incident_id": pause.incident_id, "version": pause.incident.version, "reason": "go on"}
    decisions.decide(actor=cast.actor(alice, project), verb="resume", now=timezone.now(), **said)
    assert queries.newest_usable(instance) == doubted
    Checkpoint.objects.filter(pk=doubted.pk).update(standing="bad", judged_by=queries.DAMAGE)
    assert queries.newest_usable(instance) == first
