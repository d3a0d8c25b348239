"""Which announcements a person may hear, and which open sockets still may.

A topic is a subject of agents/announce.py. Both questions are asked for many at once, in a constant number
of queries: a page watches a hundred agents, a process holds a thousand sockets.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone

from agents.models import Agent, Incident, Membership, Project, Role, User

EVERY_PROJECT = "*"
NOUNS = ("agent", "standing", "incident", "fleet", "project")


@dataclass(frozen=True, slots=True)
class Rights:
    """What a session is worth: whose it is, and the role in each project; a superuser's stands under `*`."""

    user_id: int
    roles: tuple[tuple[int | str, str], ...]

    @property
    def everywhere(self) -> bool:
        return (EVERY_PROJECT, Role.ADMIN) in self.roles

    def sees(self, project_id: int) -> bool:
        return self.everywhere or any(project == project_id for project, _ in self.roles)


def rights_of(session_keys: Collection[str]) -> dict[str, Rights]:
    """The rights of each session that is still good; a missing key is signed out."""
    kept = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    claims = {row.session_key: _claim(row.session_data) for row in kept}
    ids = {user_id for user_id, _ in claims.values() if user_id is not None}
    users = {user.pk: user for user in User.objects.filter(pk__in=ids, is_active=True)}
    roles: dict[int, list[tuple[int | str, str]]] = defaultdict(list)
    members = Membership.objects.filter(user_id__in=users).order_by("project_id")
    for member, project_id, role in members.values_list("user_id", "project_id", "role"):
        roles[member].append((project_id, role))
    for user in users.values():
        if user.is_superuser:
            roles[user.pk].append((EVERY_PROJECT, Role.ADMIN))
    return {
        key: Rights(owner.pk, tuple(roles[owner.pk]))
        for key, (user_id, digest) in claims.items()
        if (owner := users.get(user_id or 0)) is not None and _is_of(owner, digest)
    }


def projects_of(topics: Iterable[str]) -> dict[str, int]:
    """The project of each topic that exists."""
    wanted: dict[str, dict[int, str]] = defaultdict(dict)
    for topic in topics:
        noun, _, number = topic.partition("-")
        if number.isascii() and number.isdigit() and len(number) < 19 and noun in NOUNS:
            wanted[noun][int(number)] = topic
    found: dict[str, int] = {}
    for noun, model in (("agent", Agent), ("standing", Agent), ("incident", Incident)):
        rows = model._default_manager.filter(pk__in=wanted[noun]).values_list("pk", "project_id")
        found.update({wanted[noun][pk]: project_id for pk, project_id in rows})
    both = {*wanted["fleet"], *wanted["project"]}
    for project in Project.objects.filter(pk__in=both).values_list("pk", flat=True):
        found.update({wanted[noun][project]: project for noun in NOUNS[3:] if project in wanted[noun]})
    return found


def _claim(data: str) -> tuple[int | None, str]:
    """Whose session it says it is, and the digest of the password it was opened with."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    said = store.decode(data)
    user_id = said.get(SESSION_KEY, "")
    return (int(user_id) if str(user_id).isdigit() else None), said.get(HASH_SESSION_KEY, "")


def _is_of(user: User, digest: str) -> bool:
    return any(
        hmac.compare_digest(digest, good)
        for good in (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    )
