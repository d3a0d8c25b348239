"""The forms of on call: how each is asked, read, and shown again when it was refused."""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from typing import Any

from django.http import QueryDict

from agents.models import EscalationPolicy, Project, Schedule, Team, Whom
from agents.models.oncall import WHOLE_WEEK
from agents.queries import on_call
from agents.services.on_call import Hours, Refused, Rules
from dashboard.contexts.asked import number, words
from dashboard.contexts.on_call import DAYS, names

ROWS = 6
NOBODY = ("", "nobody more")


def team(project: Project, row: Team | None) -> dict[str, Any]:
    chosen = set(row.members.values_list("pk", flat=True)) if row else set()
    people = [(one.pk, str(one), one.pk in chosen) for one in on_call.people(project.pk)]
    return {"row": row, "name": row.name if row else "", "people": people}


def rota(project: Project, row: Schedule | None, now: datetime) -> dict[str, Any]:
    turns = list(row.turns.order_by("position").values_list("user", flat=True)) if row else []
    weekdays = row.weekdays if row else WHOLE_WEEK
    return {
        "row": row,
        "name": row.name if row else "",
        "zone": row.zone if row else "UTC",
        "starts_on": (row.starts_on if row else now.date()).isoformat(),
        "hand_over": _time(row.hand_over if row else dt.time(9)),
        "every_days": row.every_days if row else 7,
        "since": _time(row.since if row else None),
        "until": _time(row.until if row else None),
        "days": [(n, day, bool(weekdays >> n & 1)) for n, day in enumerate(DAYS)],
        "choices": [NOBODY, *((str(one.pk), str(one)) for one in on_call.people(project.pk))],
        "turns": [str(pk) for pk in turns] + [""] * max(2, ROWS - len(turns)),
    }


def policy(project: Project, row: EscalationPolicy | None, now: datetime) -> dict[str, Any]:
    steps = [
        (f"{one['kind']}-{one['id']}", round(step["wait_s"] / 60))
        for step in (row.steps if row else [])
        for one in step["tell"]
    ]
    first = [] if row else [(f"{Whom.EVERYONE}-0", 15)]
    known = names(project, now)
    return {
        "row": row,
        "name": row.name if row else "",
        "repeats": row.repeats if row else 2,
        "seen_for": round((row.seen_for_s if row else 1800) / 60),
        "is_default": row.is_default if row else True,
        "quiet_zone": row.quiet_zone if row else "UTC",
        "quiet_from": _time(row.quiet_from if row else None),
        "quiet_until": _time(row.quiet_until if row else None),
        "choices": [NOBODY, *((f"{whom}-{id}", word) for (whom, id), word in known.items())],
        "steps": (steps or first) + [("", 10)] * max(2, ROWS - len(steps or first)),
    }


def read_team(form: QueryDict) -> tuple[str, list[int]]:
    return _name(form), [pk for text in form.getlist("member") if (pk := number(text))]


def read_rota(form: QueryDict) -> tuple[str, list[int], Hours]:
    people = [pk for text in form.getlist("person") if (pk := number(text))]
    days = {int(day) for day in form.getlist("day") if day in map(str, range(7))}
    hours = Hours(
        zone=words(form.get("zone", ""), 64).strip(),
        starts_on=_date(form, "starts_on"),
        hand_over=_clock(form, "hand_over") or dt.time(9),
        every_days=_count(form, "every_days"),
        weekdays=sum(1 << day for day in days),
        since=_clock(form, "since"),
        until=_clock(form, "until"),
    )
    return _name(form), people[:100], hours


def read_policy(form: QueryDict) -> Rules:
    """Rows without anybody are left out."""
    steps = []
    for whom, wait in zip(form.getlist("whom"), form.getlist("wait"), strict=False):
        kind, _, id = whom.partition("-")
        if kind in Whom.values and id.isascii() and id.isdecimal() and len(id) <= 18:
            steps.append((kind, int(id), 60 * _minutes(wait, "steps")))
    return Rules(
        name=_name(form),
        steps=steps,
        repeats=_count(form, "repeats"),
        seen_for_s=60 * _count(form, "seen_for"),
        is_default="is_default" in form,
        quiet_zone=words(form.get("quiet_zone", ""), 64).strip() or "UTC",
        quiet_from=_clock(form, "quiet_from"),
        quiet_until=_clock(form, "quiet_until"),
    )


def again(shown: dict[str, Any], form: QueryDict, refused: Refused) -> dict[str, Any]:
    """The form as it was typed, with why it was refused beside the field."""
    typed: dict[str, Any] = {name: words(form.get(name, ""), 200) for name in shown if name in form}
    if "people" in shown:
        members = form.getlist("member")
        typed["people"] = [(pk, word, str(pk) in members) for pk, word, _ in shown["people"]]
    if "turns" in shown:
        typed["turns"] = [words(one, 20) for one in form.getlist("person")[:100]]
        typed["days"] = [(n, day, str(n) in form.getlist("day")) for n, day, _ in shown["days"]]
    if "steps" in shown:
        rows = zip(form.getlist("whom"), form.getlist("wait"), strict=False)
        typed["steps"] = [(words(whom, 30), words(wait, 10)) for whom, wait in rows][:100]
        typed["is_default"] = "is_default" in form
    return shown | typed | {"wrong": refused.field, "why": str(refused)}


def _name(form: QueryDict) -> str:
    return words(form.get("name", ""), 100)


def _time(time: dt.time | None) -> str:
    return f"{time:%H:%M}" if time else ""


def _clock(form: QueryDict, name: str) -> dt.time | None:
    text = form.get(name, "").strip()
    try:
        return dt.datetime.strptime(text[:5], "%H:%M").time() if text else None
    except ValueError as error:
        raise Refused(name, "Write a time of the day, like 09:00.") from error


def _date(form: QueryDict, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(form.get(name, "")[:10])
    except ValueError as error:
        raise Refused(name, "Write a date, like 2026-03-02.") from error


def _count(form: QueryDict, name: str) -> int:
    return _minutes(form.get(name, ""), name)


def _minutes(text: str, name: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise Refused(name, "Write a whole number.")
    return int(text)
