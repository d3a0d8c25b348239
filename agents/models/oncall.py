"""On call: who is told in which order, who is on duty when, and where an incident stands in that order.

A policy's steps are copied into the incident's escalation when it opens: a change of the policy is for the
next incident. `Escalation.due_at` is the timer; whoever looks at due rows moves them (services/escalating).
"""

from __future__ import annotations

import datetime as dt

from django.db import models
from django.utils import timezone

from agents.models.incidents import Incident
from agents.models.people import Project, User

WHOLE_WEEK = 0b1111111


class Team(models.Model):
    """People who are told together."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="teams")
    name = models.CharField(max_length=100)
    members = models.ManyToManyField(User, related_name="teams")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_team_a_name")]


class Schedule(models.Model):
    """A rota: its people take turns of `every_days` days, handed over at a wall-clock time of its zone.

    `weekdays` (bit 0 is Monday), `since` and `until` narrow the hours that it covers; what is left is a gap.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=100)
    zone = models.CharField(max_length=64, default="UTC")
    starts_on = models.DateField()
    hand_over = models.TimeField(default=dt.time(9))
    every_days = models.PositiveSmallIntegerField(default=7)
    weekdays = models.PositiveSmallIntegerField(default=WHOLE_WEEK)
    since = models.TimeField(null=True)
    until = models.TimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_schedule_a_name")]


class Turn(models.Model):
    """A person's place in the rota; who is deleted leaves it, and the others take the turns."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="turns")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="turns")
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schedule", "position"], name="one_turn_a_place")]


class Override(models.Model):
    """Somebody else for a while; of two at once the one that was written down last."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="overrides")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    by = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)


class EscalationPolicy(models.Model):
    """Steps, as `[{"tell": [{"kind": "schedule", "id": 3}], "wait_s": 300}]`; `kind` is a Whom.

    `quiet_*`: between these wall-clock times a page about nothing that is paused waits for the morning.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="policies")
    name = models.CharField(max_length=100)
    steps = models.JSONField(default=list)
    repeats = models.PositiveSmallIntegerField(default=2)
    seen_for_s = models.PositiveIntegerField(default=1800)
    is_default = models.BooleanField(default=False)
    quiet_zone = models.CharField(max_length=64, default="UTC")
    quiet_from = models.TimeField(null=True)
    quiet_until = models.TimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="one_policy_a_name"),
            models.UniqueConstraint(
                fields=["project"], name="one_default_policy", condition=models.Q(is_default=True)
            ),
        ]


class Whom(models.TextChoices):
    """Whom a step tells; `everyone` is every channel of the project."""

    PERSON = "person"
    TEAM = "team"
    SCHEDULE = "schedule"
    CHANNEL = "channel"
    EVERYONE = "everyone"


class Escalation(models.Model):
    """Where an incident stands: the next step, and when it is due; `quiet`: hours in which it waits."""

    class State(models.TextChoices):
        RUNNING = "running"
        HELD = "held"
        SPENT = "spent"
        ENDED = "ended"

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="escalation")
    policy = models.CharField(max_length=100, blank=True)
    steps = models.JSONField()
    repeats = models.PositiveSmallIntegerField()
    seen_for_s = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    step = models.PositiveSmallIntegerField(default=0)
    round = models.PositiveSmallIntegerField(default=0)
    told = models.PositiveIntegerField(default=0)
    quiet = models.JSONField(null=True)
    due_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"], name="escalations_due", condition=models.Q(state__in=["running", "held"])
            )
        ]


class Note(models.Model):
    """What somebody wrote beside an incident; it moves nothing."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="notes")
    by = models.CharField(max_length=200)
    text = models.CharField(max_length=2000)
    at = models.DateTimeField(default=timezone.now)
