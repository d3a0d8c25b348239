"""The one timeline, and what could not be read.

`agents_entry` is partitioned by the UTC day of `at`, made by a migration, and has no foreign key in
either direction: rows are COPYed in and partitions dropped whole. `Quarantine` keeps the bytes of a
line that was refused, with the reason, so that one poison event blocks nothing behind it.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Kind(models.TextChoices):
    ACTION = "action"
    FAILURE = "failure"
    VERDICT = "verdict"
    CHECKPOINT = "checkpoint"
    SIGNAL = "signal"
    PAUSE = "pause"
    DECISION = "decision"
    COMMAND = "command"
    ROLLBACK = "rollback"
    RUN = "run"


class Entry(models.Model):
    """One line of the timeline. Its id is `<run>-<seq>`, or a UUIDv7 for the server's own entries."""

    pk = models.CompositePrimaryKey("at", "id")
    id = models.CharField(max_length=60)
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    project_id = models.BigIntegerField()
    agent_id = models.BigIntegerField()
    instance_id = models.BigIntegerField(null=True)
    run_id = models.UUIDField(null=True)
    seq = models.BigIntegerField(null=True)
    late = models.BooleanField(default=False)
    digest = models.BinaryField(null=True)
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=200)
    outcome = models.CharField(max_length=40)
    verdict = models.CharField(max_length=10)
    group_id = models.BigIntegerField(null=True)
    ref = models.CharField(max_length=60)
    title = models.CharField(max_length=500)
    body = models.TextField()

    class Meta:
        managed = False
        db_table = "agents_entry"


class Quarantine(models.Model):
    """A line that could not be stored, with its bytes."""

    run_id = models.UUIDField()
    seq = models.BigIntegerField()
    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE)
    received_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=300)
    line = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run_id", "seq"], name="quarantined_once")]


class FailureGroup(models.Model):
    """Failures with one fingerprint, over all agents of a project."""

    project = models.ForeignKey("agents.Project", on_delete=models.CASCADE)
    fingerprint = models.CharField(max_length=64)
    action = models.CharField(max_length=200)
    title = models.CharField(max_length=300)
    failures = models.BigIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "fingerprint"], name="one_group_a_fingerprint")
        ]


class Effect(models.Model):
    """The server's copy of an agent's effects ledger: what reached the outside world.

    `incident` is the one that asks whether it happened; `command` is how the agent hears of the answer.
    `confirms`: the agent can find out by itself, so a human is asked later.
    """

    class State(models.TextChoices):
        BEGUN = "begun"
        DONE = "done"
        FAILED = "failed"
        UNKNOWN = "unknown"

    class Answer(models.TextChoices):
        """What a human said of it; the first two of what was done, the others of what may have happened."""

        ACCEPTED = "accepted"
        AGAIN = "again"
        HAPPENED = "happened"
        DID_NOT = "did_not"

    id = models.CharField(max_length=60, primary_key=True)
    instance = models.ForeignKey("agents.Instance", on_delete=models.CASCADE, related_name="effects")
    run_id = models.UUIDField()
    name = models.CharField(max_length=200)
    key = models.CharField(max_length=200, blank=True)
    input = models.TextField(blank=True)
    result = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.BEGUN)
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=8, choices=Answer, blank=True, db_default="")
    answered_by = models.CharField(max_length=200, blank=True, db_default="")
    answered_at = models.DateTimeField(null=True)
    answer_reason = models.CharField(max_length=500, blank=True, db_default="")
    verdict = models.CharField(max_length=10, blank=True, db_default="")
    confirms = models.BooleanField(db_default=False)
    incident = models.ForeignKey(
        "agents.Incident", null=True, on_delete=models.SET_NULL, related_name="effects"
    )
    command = models.ForeignKey("agents.Command", null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["instance", "-begun_at"], name="effects_newest"),
            models.Index(
                fields=["begun_at"],
                name="effects_unsettled",
                condition=models.Q(state__in=["begun", "unknown"], answer=""),
            ),
        ]
