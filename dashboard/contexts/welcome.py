"""The first-run page: a ten-line agent that really runs, a token for it, and the wait for its first event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents import access
from agents.access import Actor
from agents.models import Agent, Project
from agents.queries import arrivals
from agents.services import tokens
from agents.services.tokens import Made
from dashboard.contexts.asked import written

CODE = """\
from sickbay import Agent

agent = Agent("first-agent", about="doubles numbers")

def double(n):
    return n * 2

with agent.run() as run:
    for n in range(1, 6):
        run.execute(double, n, expected="an even number", verify=lambda result: result % 2 == 0)
"""


def page(
    project: Project, actor: Actor, now: datetime, site: str, made: Made | None = None
) -> dict[str, Any]:
    """`made` is a token of a moment ago: its text stands in the page this once."""
    text = made.text if made else None
    return {
        "site": site,
        "code": CODE,
        "made": made,
        "shell": shell(site, text) if text else "",
        "fresh_id": tokens.new_id(),
        "may_make": access.can(actor, "tokens", project),
        **waiting(project, now, now),
    }


def shell(site: str, token: str) -> str:
    return f"export SICKBAY_URL={site}\nexport SICKBAY_TOKEN={token}\nuv run python first_agent.py\n"


def waiting(project: Project, since: datetime, now: datetime) -> dict[str, Any]:
    """Whether an agent has sent its first event since the page was opened."""
    arrived: Agent | None = arrivals.first_since(project, since)
    return {
        "project": project,
        "now": now,
        "since": written(since),
        "arrived": arrived,
        "refused": arrivals.refused(project, now),
        "others": 0 if arrived else project.agents.count(),
        "topic": f"fleet-{project.pk}",
    }
