"""The audit log: append-only (a trigger refuses the rest) and hash-chained, one row an act.

Each row stands behind the one before it; behind the last stands the head, so that its removal shows, too.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone


class AuditEntry(models.Model):
    """Who did what, why, and what they saw. No foreign keys: the log outlives what it speaks of."""

    project_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=200)
    verb = models.CharField(max_length=60)
    object = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    saw = models.JSONField(default=dict)
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)

    class Meta:
        indexes = [
            models.Index(fields=["project_id", "-id"], name="audit_newest"),
            models.Index(fields=["project_id", "verb"], name="audit_by_verb"),
            models.Index("project_id", OpClass(Upper("actor"), "text_pattern_ops"), name="audit_by_actor"),
            models.Index("project_id", OpClass(Upper("object"), "text_pattern_ops"), name="audit_by_object"),
        ]


class AuditHead(models.Model):
    """The last row of the log: one row, moved along with it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    entry = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)
