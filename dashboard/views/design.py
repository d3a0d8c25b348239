"""The design system on one page: every component in every state, with the story of refund-desk.

Nothing here is read from the database and nothing is linked anywhere: it is what an engineer looks at
before making a page, and what the browser tests look at to see that no component broke.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from agents.models import Kind, Status
from dashboard.marks import OUTCOME

REASONS = [
    ("known_bug", "Known bug"),
    ("fixed_outside", "Fixed outside"),
    ("false_alarm", "False alarm"),
    ("try_once_more", "Try once more"),
]
STANDINGS = {"good", "suspect", "unproven", "bad"}
TOKENS = (
    "page surface well line line-2 control text text-2 text-3 accent accent-soft bar add add-soft add-word "
    "del del-soft del-word bad bad-soft warn warn-soft mend mend-soft good good-soft"
)
TEN_LINES = """from sickbay import Agent

agent = Agent("refund-desk", about="Refunds up to 500 € for web-shop orders", owner="payments")


def step(run):
    order = run.execute(next_order)
    run.execute(issue_refund, order, expected="its amount", verify=lambda r: r.amount == order.amount)


agent.supervise(step)
"""


def _minutes(pattern: str, failed: dict[int, int], until: int = 60) -> str:
    ok = [int(pattern[minute % len(pattern)]) if minute < until else 0 for minute in range(60)]
    return json.dumps([[count, failed.get(minute, 0)] for minute, count in enumerate(ok)])


BARS = {
    "refund-desk": _minutes("36641502743002201104700530700225", {8: 1, 14: 1, 22: 1, 48: 2, 52: 2, 56: 3}),
    "price-watch": _minutes("7645672443602222345670434", {}, until=43),
    "inbox-triage": _minutes("5743657465", {31: 1, 57: 2, 59: 1}),
    "lead-scorer": _minutes("98798789", {40: 1}),
    "doc-writer": _minutes("1200310002", {27: 1}),
    "payroll-check": "",
}


def _agents(now: datetime) -> list[dict[str, Any]]:
    """Name, status, doing now; seconds since the last beat; budget; minutes since status, good, a human."""
    rows = [
        ("refund-desk", Status.PAUSED, "Waits for a decision on incident 214", 2, (3, 6), (4, 24, None), 61),
        ("price-watch", Status.BLOCKED, "get_price attempt 31, next in 60 s", 1, (0, 1), (17, 19, None), 44),
        ("inbox-triage", Status.HEALING, "Back at 02:47 after a wrong label", 1, (2, 4), (1, 8, 8760), 72),
        ("invoice-clerk", Status.PROBATION, "match_lines INV-20917, 1.4 s", 1, (0, 3), (None, 3, 38), 57),
        (
            "doc-writer",
            Status.RUNNING,
            "write_section “Rotating keys”",
            2,
            (0, 1),
            (None, 2, 55080),
            81,
        ),
        ("lead-scorer", Status.RUNNING, "score 212 of 640 in this batch", 1, (0, 1), (None, 1, 17820), 23),
        ("payroll-check", Status.IDLE, "Next start 06:00", 4, (0, 0), (300, 300, 44760), 18),
    ]

    def ago(minutes: int | None) -> datetime | None:
        return None if minutes is None else now - timedelta(minutes=minutes)

    return [
        {
            "name": name,
            "status": status,
            "doing": doing,
            "beat": now - timedelta(seconds=beat),
            "consecutive": budget[0],
            "hourly": budget[1],
            "since": ago(minutes[0]),
            "good": ago(minutes[1]),
            "alone": ago(minutes[2]),
            "note": "6 of 10" if status == Status.PROBATION else "",
            "times": 4 if name == "lead-scorer" else 0,
            "context": context,
            "tone": "warn" if context > 80 else "",
            "bars": BARS.get(name, ""),
        }
        for name, status, doing, beat, budget, minutes, context in rows
    ]


def _entries(now: datetime) -> list[dict[str, Any]]:
    """Seconds before 02:51:20, kind, name, outcome, title, how long it took."""
    rows = [
        (
            0,
            Kind.CHECKPOINT,
            "c-91de",
            "suspect",
            "State before the pause, 45 messages, 4 files",
            "0.2 s",
        ),
        (1, Kind.PAUSE, "budget", "none", "Paused: 3 failures in a row, the limit is 3; nothing runs", ""),
        (2, Kind.FAILURE, "issue_refund", "3 in a row", "Refund amount 40.00, expected 400.00", "1.3 s"),
        (39, Kind.ACTION, "lookup_order", "pass", "Order 8852, 1 item returned, 400.00 €", "0.4 s"),
        (255, Kind.FAILURE, "issue_refund", "2 in a row", "Refund amount 6.55, expected 65.50", "1.2 s"),
        (788, Kind.SIGNAL, "memory", "observed", "rates.amount_scale 100 → 10; message 3 of 41 deleted", ""),
        (789, Kind.ACTION, "tidy_memory", "", "Removed 1 message as a duplicate, wrote a summary", "6.8 s"),
        (1213, Kind.CHECKPOINT, "c-7f3a", "good", "Last known good; a pass at 02:31:06 proves it", "0.1 s"),
        (1400, Kind.DECISION, "resume", "known bug", "Resumed by Mara Lindqvist, on probation", ""),
        (1401, Kind.COMMAND, "resume", "obeyed", "Taken up after 41 ms", ""),
        (1402, Kind.ROLLBACK, "c-7f3a", "verified", "Memory and 4 files are as at 02:31:07", "0.6 s"),
        (1403, Kind.VERDICT, "daily_total", "unknown", "The verifier raised KeyError: 'total'", "0.3 s"),
        (1404, Kind.RUN, "main", "vanished", "The process is gone; lookup_order was in flight", ""),
    ]
    start = now.replace(hour=2, minute=51, second=20)
    return [
        {
            "id": f"entry-{before}",
            "at": start - timedelta(seconds=before),
            "kind": kind,
            "name": name,
            "outcome": outcome,
            "words": "good, verified" if outcome == "good" else "",
            "title": title,
            "took": took,
            "open": before == 2,
            "body": "design/entry_body.html" if before == 2 else "",
        }
        for before, kind, name, outcome, title, took in rows
    ]


@login_required
@require_GET
def design(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    story = {
        "now": now,
        "project": None,
        "statuses": list(Status.values),
        "kinds": list(Kind.values),
        "outcomes": [outcome for outcome in OUTCOME if outcome not in STANDINGS | {"none"}],
        "standings": [("good", "good, verified"), ("unproven", ""), ("suspect", ""), ("bad", "bad, by hand")],
        "agents": _agents(now),
        "entries": _entries(now),
        "bars": BARS["refund-desk"],
        "reasons": REASONS,
        "choices": [("human", "Sort: needs a human first"), ("name", "Sort: name")],
        "crumbs": [("refund-desk", "#crumbs"), ("Incidents", "#crumbs"), ("214", "")],
        "tabs": [("Timeline", "#tabs", True), ("Runs", "#tabs", False), ("Policy", "#tabs", False)],
        "code": TEN_LINES,
        "tokens": TOKENS.split(),
        "four": now - timedelta(minutes=4),
        "seventeen": now - timedelta(minutes=17),
        "forty_three": now - timedelta(minutes=43),
        "days": now - timedelta(days=11, hours=4),
    }
    return render(request, "design.html", story)
