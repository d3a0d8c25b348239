"""A project with one of everything, everybody who might ask, and each address of the product filled in."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from agents.models import (
    Agent,
    AlertTarget,
    AuditEntry,
    Command,
    Effect,
    Entry,
    EscalationPolicy,
    Incident,
    Instance,
    Membership,
    Override,
    Project,
    Proposal,
    Role,
    Schedule,
    Team,
    Token,
    ToolHold,
    User,
)
from checkpoints.models import Checkpoint, Rollback, Watch
from tests.builders import make_token
from tests.conftest import member
from tests.domain import cast, rolling
from tests.pages import states

MARK = "only-in-main"  # stands in what is shown of the project, and nowhere else
FOREIGN = ("outsider", "foreign operator token", "foreign agent token")


@dataclass
class Asking:
    """Somebody: a session, or a bearer."""

    name: str
    role: str | None = None
    scope: str | None = None
    client: Client = field(default_factory=Client)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_foreign(self) -> bool:
        return self.name in FOREIGN


def everybody(project: Project, elsewhere: Project) -> list[Asking]:
    """Nobody, each role, an administrator of another project, and each scope here and there."""
    found = [Asking("nobody")]
    for role in Role:
        found.append(_signed_in(member(project, f"{role}@example.com", role, role), role, role))
    outsider = member(elsewhere, "outsider@example.com", "Outsider", Role.ADMIN)
    found.append(_signed_in(outsider, "outsider", Role.ADMIN))
    for where, said in ((project, ""), (elsewhere, "foreign ")):
        for scope in ("agent", "operator"):
            bearer = {"Authorization": f"Bearer {make_token(where, scope)}"}
            found.append(Asking(f"{said}{scope} token", scope=scope, headers=bearer))
    return found


def _signed_in(user: User, name: str, role: str) -> Asking:
    asking = Asking(name, role=role)
    asking.client.force_login(user)
    return asking


def routes(patterns: Any = None, before: str = "") -> Iterator[str]:
    """Every address of the URL configuration, as it is written there."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, here)
        else:
            assert isinstance(pattern, URLPattern)
            yield here


@dataclass
class Ground:
    """One of everything, by the names that the addresses have for it."""

    project: Project
    values: dict[str, str]  # by the word that stands before it in an address
    wire: dict[str, str]

    def path(self, route: str) -> str:
        """The address of what is there; KeyError for a word that stands before nothing known."""

        def value(found: re.Match[str]) -> str:
            before, kind = found[1].strip("/"), found[2]
            return found[1] + (self.values.get(f"{before} {kind}") or self.values[before])

        return "/" + re.sub(r"(\.\.|\w+/)<(?:(\w+):)?\w+>", value, route)

    def state(self) -> tuple[object, ...]:
        """What nobody may change who may not."""
        project = self.project.pk
        return (
            list(Agent.objects.filter(project=project).values_list("version", "status").order_by("pk")),
            list(Incident.objects.filter(project=project).values_list("state", "version").order_by("pk")),
            list(Checkpoint.objects.filter(project=project).values_list("standing", "pinned").order_by("pk")),
            list(Watch.objects.filter(agent__project=project).values_list("is_on", "policy").order_by("pk")),
            Command.objects.filter(instance__agent__project=project).count(),
            Entry.objects.filter(project_id=project).count(),
            AuditEntry.objects.filter(project_id=project).count(),
            list(AlertTarget.objects.filter(project=project).values_list("pk", flat=True).order_by("pk")),
            Token.objects.filter(project=project, revoked_at=None).count(),
            [kind.objects.filter(project=project).count() for kind in (Team, Schedule, EscalationPolicy)],
            list(Proposal.objects.filter(incident__project=project).values_list("state", flat=True)),
            ToolHold.objects.filter(project=project, lifted_at=None).count(),
            Override.objects.filter(schedule__project=project).count(),
            list(Membership.objects.filter(project=project).values_list("role", flat=True).order_by("pk")),
        )


def made(project: Project, alice: User) -> Ground:
    keeper, good, now = states.make_story(project)
    instance = Instance.objects.get(agent__project=project)
    Agent.objects.filter(pk=instance.agent_id).update(about=MARK)
    pause = cast.spends_its_budget(instance, now=timezone.now())
    Incident.objects.filter(pk=pause.incident_id).update(title=MARK)
    Checkpoint.objects.filter(project=project).update(label=MARK)
    rollback = rolling.order(alice, project, good).rollbacks[0]
    Rollback.objects.filter(pk=rollback.pk).update(reason=MARK)
    command = Command.objects.get(kind="rollback")
    effect = Effect.objects.create(
        id=f"{uuid.uuid4().hex}-1", run_id=uuid.uuid4(), instance=instance, name="issue_refund", input=MARK,
        state="done", begun_at=timezone.now(),
    )  # fmt: skip
    target = AlertTarget.objects.create(project=project, kind="email", label=MARK, address="x@example.com")
    way = AlertTarget.objects.create(
        project=project, kind="email", label=MARK, address="alice@example.com", person=alice
    )
    watch = Watch.objects.create(
        agent_id=instance.agent_id, where="memory", path="rates.fee", op="equals", value="0", by=MARK,
        at=timezone.now(),
    )  # fmt: skip
    token = Token.objects.filter(project=project).order_by("pk")[0]
    proposal = _asked_for(pause.incident_id, alice)
    team, schedule, override, policy = _on_call(project, alice)
    held = ToolHold.objects.create(
        project=project, incident_id=pause.incident_id, tool="issue_refund", everywhere=True, reason=MARK,
        by=MARK, at=timezone.now(),
    )  # fmt: skip
    return Ground(
        project,
        {
            "p": project.name, "agents": "refund-desk", "agents int": str(instance.agent_id),
            "incidents": str(pause.incident_id), "checkpoints": str(good.pk), "diff": str(now.pk),
            "..": str(now.pk), "rollbacks": str(rollback.pk), "commands": str(command.pk), "add": "email",
            "effects": str(effect.pk), "alerts": str(target.pk), "tokens": str(token.pk), "welcome": "x",
            "files": "policies/old.md", "confirm": str(proposal.pk), "decline": str(proposal.pk),
            "watches": str(watch.pk), "entries": Entry.objects.filter(project_id=project.pk)[0].id,
            "teams": str(team.pk), "rotas": str(schedule.pk), "ins": str(override.pk),
            "policies": str(policy.pk),
            "holds": str(held.pk), "sessions": "1", "ways": str(way.pk),
            "people": str(Membership.objects.get(project=project, user=alice).pk),
        },
        {"process": keeper.taker.wire.process, "run": keeper.taker.wire.run},
    )  # fmt: skip


def _asked_for(incident_id: int, alice: User) -> Proposal:
    words = {"reason": MARK, "guidance": "", "probation": True, "agents": None}
    return Proposal.objects.create(
        incident_id=incident_id, verb="resume", version=0, words=words, person=alice, by="alice",
        at=timezone.now(), lapses_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def _on_call(project: Project, alice: User) -> tuple[Team, Schedule, Override, EscalationPolicy]:
    team = Team.objects.create(project=project, name=MARK)
    now = timezone.now()
    schedule = Schedule.objects.create(project=project, name=MARK, starts_on=now.date())
    override = Override.objects.create(
        schedule=schedule, user=alice, starts_at=now, ends_at=now + timedelta(hours=1), by=MARK
    )
    policy = EscalationPolicy.objects.create(
        project=project, name=MARK, steps=[{"tell": [{"kind": "team", "id": team.pk}], "wait_s": 60}]
    )
    return team, schedule, override, policy
