"""Try one first: whether it is offered, how far it has come, and what became of the last."""

from __future__ import annotations

from typing import Any

from agents.models import Incident, Trial
from agents.services import trials


def shown(incident: Incident, waiting: list[str]) -> dict[str, Any]:
    """`waiting` are the agents that wait for a decision."""
    trial = Trial.objects.filter(incident=incident).select_related("agent").order_by("-at").first()
    trying = trial is not None and trial.state == Trial.State.TRYING
    follow = trials.following(trial) if trial is not None and trying else []
    tool = incident.group.action if incident.group else ""
    after = "three actions" + (f" with {tool}" if tool else "")
    return {
        "trial": trial,
        "trial_wanted": trials.WANTED,
        "trial_follow": sorted({pause.instance.agent.name for pause in follow}),
        "may_try": [(name, name) for name in waiting] if len(waiting) > 1 and not trying else [],
        "try_does": "On probation. The others stay paused, and follow by themselves once it has passed "
        f"{after}. If it fails, they stay.",
    }
