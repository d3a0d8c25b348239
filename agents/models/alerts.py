"""Alerts: targets, the outbox, and each attempt.

Opening an incident writes its outbox rows in the same transaction, so a kill loses nothing: the worker
claims a row, sends, and writes the attempt; a claim that was not answered is claimed again.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from agents.models.incidents import Incident
from agents.models.people import Project, User


class AlertTarget(models.Model):
    """A channel of the project, or with `person` one of somebody's own ways to be reached, best first.

    `changes`: a webhook that others build on hears of everything that becomes of an incident.
    `daily_hour`: it is tested each day from this hour on (UTC). `heard_at` is when it last took a message;
    `failed_at`, since when it takes none, and why.
    """

    class Kind(models.TextChoices):
        EMAIL = "email"
        WEBHOOK = "webhook"
        SLACK = "slack"
        PAGERDUTY = "pagerduty"
        NTFY = "ntfy"
        TEAMS = "teams"
        DISCORD = "discord"
        TELEGRAM = "telegram"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_targets")
    kind = models.CharField(max_length=10, choices=Kind)
    label = models.CharField(max_length=100)
    address = models.CharField(max_length=500)
    secret = models.BinaryField(null=True)
    enabled = models.BooleanField(default=True)
    changes = models.BooleanField(default=False, db_default=False)
    person = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="ways")
    position = models.PositiveSmallIntegerField(default=0, db_default=0)
    daily_hour = models.PositiveSmallIntegerField(null=True)
    heard_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failed_why = models.CharField(max_length=300, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "project", "kind", "address"],
                name="one_way_a_person",
                condition=models.Q(person__isnull=False),
            )
        ]


class Outbox(models.Model):
    """One message for one target: waiting, claimed, then sent or given up.

    `why` says why this target ("alice is on duty in Payments"); `then` are the targets to take, in this
    order, once this one has failed.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        CLAIMED = "claimed"
        SENT = "sent"
        GIVEN_UP = "given_up"

    class About(models.TextChoices):
        OPENED = "opened"
        AGAIN = "again"
        UNSEEN = "unseen"
        ASSIGNED = "assigned"
        JOINED = "joined"
        CLOSED = "closed"
        RESOLVED = "resolved"
        CHANGED = "changed"
        TEST = "test"
        DAILY = "daily"
        BROKEN = "broken"

    target = models.ForeignKey(AlertTarget, on_delete=models.CASCADE, related_name="outbox")
    incident = models.ForeignKey(Incident, null=True, on_delete=models.CASCADE, related_name="outbox")
    about = models.CharField(max_length=10, choices=About, default=About.OPENED)
    key = models.CharField(max_length=100, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    why = models.CharField(max_length=200, blank=True, db_default="")
    then = models.JSONField(default=list, db_default=[])
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"], name="outbox_due", condition=models.Q(state__in=["waiting", "claimed"])
            )
        ]


class Attempt(models.Model):
    class Outcome(models.TextChoices):
        CLAIMED = "claimed"
        SENT = "sent"
        FAILED = "failed"

    outbox = models.ForeignKey(Outbox, on_delete=models.CASCADE, related_name="tries")
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.CLAIMED)
    why = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
