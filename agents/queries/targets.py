"""Reading alert targets and what became of their messages."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch

from agents.models import AlertTarget, Attempt, Outbox, User

RECEIPTS = 20
TRIES = Prefetch("tries", Attempt.objects.order_by("-pk"))


def of_project(project_id: int) -> list[AlertTarget]:
    """Its channels, the oldest first; their secrets stay where they are."""
    found = AlertTarget.objects.filter(project_id=project_id, person=None)
    return list(found.defer("secret").order_by("pk"))


def own(project_id: int, user: User) -> list[AlertTarget]:
    """Somebody's own ways, best first; their secrets stay where they are."""
    found = AlertTarget.objects.filter(project_id=project_id, person=user)
    return list(found.defer("secret").order_by("position", "pk"))


def kinds_of_people(project_id: int) -> dict[int, list[str]]:
    """By which kinds of ways each person is reached: that they are there, and nothing of them."""
    found: dict[int, list[str]] = {}
    rows = AlertTarget.objects.filter(project_id=project_id, person__isnull=False, enabled=True)
    for person, kind in rows.order_by("position", "pk").values_list("person_id", "kind"):
        found.setdefault(person or 0, []).append(kind)
    return found


def unreached(project_id: int, people: Iterable[User], *, with_mail: bool) -> list[User]:
    """Those whom no way of their own reaches: each is off, or is e-mail where no mail is sent.

    Whoever named none is reached by e-mail.
    """
    rows = AlertTarget.objects.filter(project_id=project_id, person__isnull=False)
    ways: dict[int, list[bool]] = {}
    for person, kind, enabled in rows.values_list("person_id", "kind", "enabled"):
        reaches = enabled and (with_mail or kind != AlertTarget.Kind.EMAIL)
        ways.setdefault(person or 0, []).append(reaches)
    return [user for user in people if not any(ways.get(user.pk, [with_mail]))]


def anyone_is_told(project_id: int) -> bool:
    """Whether an incident opened now would reach any target."""
    return AlertTarget.objects.filter(project_id=project_id, person=None, enabled=True).exists()


def with_secrets(targets: Iterable[AlertTarget]) -> set[int]:
    """Which of the targets have a secret."""
    ids = [target.pk for target in targets]
    rows = AlertTarget.objects.filter(pk__in=ids, secret__isnull=False)
    return set(rows.values_list("pk", flat=True))


def receipts(project_id: int, *, most: int = RECEIPTS) -> list[Outbox]:
    """The newest messages of all targets, each with its attempts, the newest first."""
    rows = Outbox.objects.filter(target__project_id=project_id).select_related("incident")
    rows = rows.prefetch_related(Prefetch("target", AlertTarget.objects.defer("secret")), TRIES)
    return list(rows.order_by("-pk")[:most])


def broken(project_id: int) -> AlertTarget | None:
    """The channel that has taken nothing for longest, of those that are on."""
    failing = AlertTarget.objects.filter(project_id=project_id, person=None, enabled=True)
    return failing.filter(failed_at__isnull=False).defer("secret").order_by("failed_at").first()


def newest_tests(targets: Iterable[AlertTarget]) -> dict[int, Outbox]:
    """The last test message of each target."""
    ids = [target.pk for target in targets]
    rows = Outbox.objects.filter(target_id__in=ids, about=Outbox.About.TEST)
    rows = rows.order_by("target_id", "-pk").distinct("target_id").prefetch_related(TRIES)
    return {row.target_id: row for row in rows}
