"""What the operator can do from a program: `/api/v1/`, a bearer token of one project, JSON.

Each route authorises, parses, calls one verb, answers. Another project's things are not there (404).
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja.parser import Parser
from pydantic import Field

from agents import access
from agents.access import Actor
from agents.api import answers, problems, schema
from agents.api.documented import Documented
from agents.models import Agent, Kind, Status, ToolHold
from agents.queries import listing, timeline
from agents.services import approvals, decisions, holds, incidents, lines, pauses, tokens, trials

LONGEST = 64 * 1024
Limit = Annotated[int, Field(ge=1, le=500)]
REFUSED: dict[Any, Any] = {
    401: schema.Problem,
    403: schema.Problem,
    404: schema.Problem,
    422: schema.Problem,
}
CHANGED: dict[Any, Any] = {**REFUSED, 400: schema.Problem, 409: schema.Conflict}


class Strict(Parser):
    """The same strict JSON as everywhere: no NaN, no duplicate keys, no depth without end."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            return lines.read(request.body, LONGEST, "body")
        except lines.Refused as error:
            request.unreadable = str(error)  # type: ignore[attr-defined]
            raise


def operator(request: HttpRequest) -> Actor:
    """The token's holder; an agent's token is a wrong one here."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    token = tokens.find(text.strip(), timezone.now()) if scheme.lower() == "bearer" else None
    if token is None:
        raise problems.no_token()
    actor = access.program(token)
    if not access.can(actor, "view"):
        raise problems.wrong_scope()
    return actor


api = Documented(
    title="Sickbay",
    version="1",
    description="Keep agents alive: what the operator can do from a program, and how agents report.",
    docs_url="docs",
    urls_namespace="api-1",
    parser=Strict(),
    auth=operator,
)
problems.install(api)


@api.get("agents/", response={200: schema.AgentsOut, **REFUSED}, tags=["agents"])
def list_agents(
    request: HttpRequest,
    limit: Limit = 100,
    before: schema.Name | None = None,
    status: Status | None = None,
) -> Any:
    """All agents by name."""
    now = timezone.now()
    found = listing.agents(actor_of(request).project_id, status=status, before=before, limit=limit)
    shown, following = answers.page(found, limit, lambda agent: agent.name)
    return {"agents": [answers.agent(agent, now) for agent in shown], "next": following}


@api.get("agents/{name}/", response={200: schema.AgentOut, **REFUSED}, tags=["agents"])
def one_agent(request: HttpRequest, name: str) -> Any:
    return answers.agent(agent_of(request, name), timezone.now())


@api.get("agents/{name}/timeline/", response={200: schema.EntriesOut, **REFUSED}, tags=["agents"])
def agent_timeline(
    request: HttpRequest,
    name: str,
    limit: Limit = 100,
    before: Annotated[str, Field(max_length=90)] | None = None,
    kind: Kind | None = None,
    text: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] | None = None,
) -> Any:
    """The newest first. `text`: only those with all its words, or "words in quotes" as they stand.

    It is sought in titles, names, inputs and outputs, 20,000 entries at once: then `searched_to` says how far
    back, and `next` goes on, also from a page with nothing on it. An action and the failure that it ended
    with stand on one page, which then has one more.
    """
    found = agent_of(request, name)
    place = timeline.key(before) if before else None
    if before and place is None:
        raise problems.Problem(
            422, "invalid", "before: it is no `next` of this list.", "Pass `next` as it is."
        )
    if text is not None:
        chosen = timeline.Chosen(kind=kind or "", text=text)
        return answers.searched(timeline.down(found.pk, chosen, place, size=limit))
    rows = listing.entries(found.pk, kind=kind, before=place, limit=limit)
    shown, following = answers.page(rows, limit, lambda entry: str(timeline.key_of(entry)))
    return {"entries": [answers.entry(entry) for entry in shown], "next": following, "searched_to": None}


@api.get("entries/{id}/", response={200: schema.EntryDetailOut, **REFUSED}, tags=["agents"])
def one_entry(request: HttpRequest, id: str) -> Any:
    """One line of a timeline by its id, whichever agent's it is."""
    found = timeline.find_in(actor_of(request).project_id, id)
    if found is None:
        raise problems.not_found("entry")
    allowed(request, "view", found)
    return answers.entry(found) | {"agent": listing.agent_name(found.agent_id)}


@api.post("agents/{name}/pause/", response={200: schema.PausedOut, **CHANGED}, tags=["agents"])
def pause_agent(request: HttpRequest, name: str, said: schema.PauseIn) -> Any:
    """Ask every instance to stand still; it opens an incident. What is held already stays held."""
    found = agent_of(request, name, "pause")
    ordered = pauses.order(actor=actor_of(request), agent=found, reason=said.reason, now=timezone.now())
    return {
        "agent": found.name,
        "incident": ordered.incident.pk if ordered.incident else None,
        "paused": ordered.paused,
        "already": ordered.already,
    }


@api.post(
    "agents/{name}/start/",
    response={200: schema.DecidedOut, 202: schema.DecidedOut, **CHANGED},
    tags=["agents"],
)
def start_agent(request: HttpRequest, name: str, said: schema.StartIn | None = None) -> Any:
    """Start a stopped agent again, on probation."""
    said = said or schema.StartIn()
    outcome = decisions.start(
        actor=actor_of(request),
        agent=agent_of(request, name, "decide"),
        reason=said.reason,
        guidance=said.guidance or "",
        now=timezone.now(),
    )
    return answers.decided(outcome)


@api.get("incidents/", response={200: schema.IncidentsOut, **REFUSED}, tags=["incidents"])
def list_incidents(
    request: HttpRequest,
    limit: Limit = 100,
    before: Annotated[int, Field(ge=0, lt=schema.INT8)] | None = None,
    state: answers.State | None = None,
) -> Any:
    """The newest first; `state=open` is everything that waits for a decision."""
    found = listing.incidents(actor_of(request).project_id, state=state, before=before, limit=limit)
    shown, following = answers.page(found, limit, lambda incident: str(incident.pk))
    return {"incidents": [answers.incident(incident) for incident in shown], "next": following}


@api.get("incidents/{int:id}/", response={200: schema.IncidentDetailOut, **REFUSED}, tags=["incidents"])
def one_incident(request: HttpRequest, id: int) -> Any:
    found = listing.incident(actor_of(request).project_id, id)
    if found is None:
        raise problems.not_found("incident")
    return answers.incident_detail(found)


@api.post(
    "incidents/{int:id}/acknowledge/", response={200: schema.AcknowledgedOut, **CHANGED}, tags=["incidents"]
)
def acknowledge_incident(request: HttpRequest, id: int) -> Any:
    """Say that you have it. The version stays; a second time changes nothing."""
    allowed(request, "acknowledge", listing.incident(actor_of(request).project_id, id))
    done = incidents.acknowledge(actor=actor_of(request), incident_id=id, now=timezone.now())
    return answers.acknowledged(done)


@api.post(
    "incidents/{int:id}/try/",
    response={200: schema.DecidedOut, 202: schema.DecidedOut, **CHANGED},
    tags=["incidents"],
)
def try_one_first(request: HttpRequest, id: int, said: schema.TryIn) -> Any:
    """One agent goes on, on probation; the others follow once it has passed three actions with the tool."""
    allowed(request, "decide", listing.incident(actor_of(request).project_id, id))
    outcome = trials.begin(
        actor=actor_of(request),
        incident_id=id,
        agent=said.agent,
        version=said.version,
        reason=said.reason,
        guidance=said.guidance or "",
        now=timezone.now(),
    )
    return answers.decided(outcome)


@api.post("incidents/{int:id}/hold/", response={200: schema.HoldOut, **CHANGED}, tags=["incidents"])
def hold_tool(request: HttpRequest, id: int, said: schema.HoldIn) -> Any:
    """Calls to the tool of this incident wait, other work goes on; nobody is paused or resumed by it."""
    allowed(request, "pause", listing.incident(actor_of(request).project_id, id))
    outcome = holds.hold(
        actor=actor_of(request),
        incident_id=id,
        everywhere=said.everywhere,
        reason=said.reason,
        now=timezone.now(),
    )
    return answers.held(outcome)


@api.get("holds/", response={200: schema.HoldsOut, **REFUSED}, tags=["incidents"])
def list_holds(request: HttpRequest) -> Any:
    """The tools that are held now, and the agents in which their calls wait."""
    found = holds.standing(actor_of(request).project_id)
    return {"holds": [answers.hold(each) for each in found]}


@api.post("holds/{int:id}/lift/", response={200: schema.HoldOut, **CHANGED}, tags=["incidents"])
def lift_hold(request: HttpRequest, id: int, said: schema.LiftIn) -> Any:
    """Calls that wait go on at once; 409 says who lifted it before."""
    found = ToolHold.objects.filter(project_id=actor_of(request).project_id, pk=id).first()
    if found is None:
        raise problems.not_found("hold")
    allowed(request, "pause", found)
    return answers.held(holds.lift(actor=actor_of(request), id=id, reason=said.reason, now=timezone.now()))


@api.post("incidents/{int:id}/withdraw/", response={200: schema.DecidedOut, **CHANGED}, tags=["incidents"])
def withdraw_decision(request: HttpRequest, id: int, said: schema.WithdrawIn) -> Any:
    """Take a decision back that no run has taken up; 409 says who was first."""
    allowed(request, "decide", listing.incident(actor_of(request).project_id, id))
    outcome = decisions.withdraw(
        actor=actor_of(request),
        incident_id=id,
        version=said.version,
        reason=said.reason,
        now=timezone.now(),
    )
    return answers.decided(outcome)


@api.post(
    "incidents/{int:id}/decline/{uuid:proposal}/",
    response={200: schema.DecidedOut, **CHANGED},
    tags=["incidents"],
)
def decline_proposal(request: HttpRequest, id: int, proposal: uuid.UUID, said: schema.DeclineIn) -> Any:
    """Say no to what waits for a second person, or take your own back."""
    found = listing.incident(actor_of(request).project_id, id)
    allowed(request, "decide", found)
    done = approvals.decline(
        actor=actor_of(request), incident_id=id, id=proposal, reason=said.reason, now=timezone.now()
    )
    if done is None or found is None:
        raise problems.not_found("proposal")
    if done.name:
        raise problems.Problem(409, "lost", done.sentence, answers.AGAIN["lost"], version=found.version)
    return {"incident": id, "version": found.version, "message": done.sentence, "results": []}


def actor_of(request: HttpRequest) -> Actor:
    actor: Actor = request.auth  # type: ignore[attr-defined]
    return actor


def agent_of(request: HttpRequest, name: str, verb: str = "view") -> Agent:
    found = listing.agent(actor_of(request).project_id, name)
    if found is None:
        raise problems.not_found("agent")
    allowed(request, verb, found)
    return found


def allowed(request: HttpRequest, verb: str, object: Any) -> None:
    if object is None:
        raise problems.not_found("incident")
    if not access.can(actor_of(request), verb, object):
        raise problems.wrong_scope()
