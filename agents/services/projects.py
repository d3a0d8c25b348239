"""Making a project: a wall that tokens, agents and people stand behind."""

from __future__ import annotations

import datetime as dt
import re

from django.db import transaction

from agents.models import Project
from agents.services import audit

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class BadName(ValueError):
    """A project's name has a-z, 0-9 and -, begins with a letter or digit, and has at most 63 characters."""

    def __str__(self) -> str:
        return str(self.__doc__)


@transaction.atomic
def make(*, name: str, by: str, now: dt.datetime) -> bool:
    """Whether it was made; false when it was there."""
    if not NAME.fullmatch(name):
        raise BadName
    project, made = Project.objects.get_or_create(name=name, defaults={"created_at": now})
    if made:
        audit.record(
            project_id=project.pk,
            actor=by,
            verb="make project",
            object=f"project {name}",
            reason="",
            saw={},
            now=now,
        )
    return made
