"""The page of one's own ways to be told: each with its last test, and a form for another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings

from agents.models import AlertTarget, Project, User
from agents.queries import targets
from agents.services import channels
from dashboard.contexts.alerts import ChannelForm, drawn

EMAIL = str(AlertTarget.Kind.EMAIL)
KINDS: dict[str, list[str]] = {EMAIL: ["address"]} | {
    str(kind): [field.name for field in one.fields] for kind, one in channels.CHANNELS.items()
}
EMAIL_FIELD = channels.Field("address", "Address", "you@example.com", "Write one e-mail address.")

Asked = tuple[str, str, str, tuple[channels.Field, ...]]


def page(project: Project, user: User, now: datetime, *, kind: str = "", error: str = "") -> dict[str, Any]:
    """`error`: why the form of `kind` was refused."""
    found = targets.own(project.pk, user)
    tests = targets.newest_tests(found)
    mail = bool(settings.EMAIL_HOST)
    return {
        "project": project,
        "now": now,
        "ways": [drawn(one, tests.get(one.pk), may_change=True) for one in found],
        "unreached": bool(targets.unreached(project.pk, [user], with_mail=mail)),
        "forms": _forms(kind, error),
        "topic": f"project-{project.pk}",
    }


def _forms(kind: str, error: str) -> list[ChannelForm]:
    email: Asked = (EMAIL, "E-mail", "mail", (EMAIL_FIELD,))
    shown = [email]
    shown += [(str(one.kind), one.title, one.icon, one.fields) for one in channels.CHANNELS.values()]
    return [
        ChannelForm(
            name, title, icon, [(f"{name}-{field.name}", field) for field in fields], "",
            error if name == kind else "",
        )
        for name, title, icon, fields in shown
    ]  # fmt: skip
