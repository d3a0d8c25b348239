"""How an agent is guarded from one person's mistake: two people, and proving oneself anew."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q

from agents.access import Actor
from agents.models import Agent
from agents.services import audit


@transaction.atomic
def guard(*, actor: Actor, agent: Agent, two_people: bool, proves_anew: bool, now: dt.datetime) -> bool:
    """From now on; what waits for a second person stays as it was asked for. False: it was so before."""
    before = Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
    saw = {"before": {"two people": before.two_people, "prove anew": before.proves_anew}}
    other = ~Q(two_people=two_people) | ~Q(proves_anew=proves_anew)
    rows = Agent.objects.filter(other, pk=agent.pk)
    if not rows.update(two_people=two_people, proves_anew=proves_anew):
        return False
    saw["after"] = {"two people": two_people, "prove anew": proves_anew}
    audit.record(
        project_id=agent.project_id, actor=actor.name, verb="change guard", object=f"agent {agent.name}",
        reason="", saw=saw, now=now,
    )  # fmt: skip
    return True
