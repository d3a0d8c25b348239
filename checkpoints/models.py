"""Checkpoints, the nodes that they are made of, the leases that keep an upload's nodes, and rollbacks.

A checkpoint's memory is a tree of nodes whose root changes with every step, so the root's bytes stand in the
checkpoint's own row (`root_*`), as a delta against the root before; every other node is a row of `Node`, once
a project. Only store.py reads and writes either. `root` names the manifest, which is not stored: the row's
columns say what it held (services/verifying makes it again and compares).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.utils import timezone

from agents.models import Agent, Command, Incident, Instance, Project

if TYPE_CHECKING:
    Hash = models.Field[bytes, bytes]
    HashOrNone = models.Field[bytes | None, bytes | None]


class Standing(models.TextChoices):
    GOOD = "good"
    UNPROVEN = "unproven"
    SUSPECT = "suspect"
    BAD = "bad"


class ProvenBy(models.TextChoices):
    VERIFIED = "verified"
    SOAK = "soak"
    HUMAN = "human"
    START = "start"


class Why(models.TextChoices):
    """What made the agent take it."""

    ASKED = "asked"
    EVERY = "every"
    EFFECT = "effect"
    ROLLBACK = "rollback"
    START = "start"
    END = "end"
    PAUSE = "pause"
    JUDGED = "judged"


class Node(models.Model):
    """A node, encoded; made by migration 0002, inserted and deleted, never changed. `crc` covers the row."""

    pk = models.CompositePrimaryKey("project_id", "hash")
    length = models.BigIntegerField()
    project_id = models.IntegerField()
    items = models.IntegerField()
    plain = models.IntegerField()
    crc = models.IntegerField()
    depth = models.SmallIntegerField()
    enc = models.SmallIntegerField()
    kind = models.SmallIntegerField()
    height = models.SmallIntegerField()
    hash = models.BinaryField()
    base = models.BinaryField(null=True)
    body = models.BinaryField()

    class Meta:
        managed = False
        db_table = "checkpoints_node"


class Lease(models.Model):
    """The names that one request of an upload has stored, kept until then although no checkpoint has them."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    upload = models.UUIDField()
    until = models.DateTimeField()
    names = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["upload"], name="leases_by_upload")]


class Dependencies(models.Model):
    """What states depend on, shared by the checkpoints of one deployment."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    code = models.CharField(max_length=200, blank=True)
    sdk = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True)
    tools = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "code", "sdk", "model", "tools"], name="written_once")
        ]


class Checkpoint(models.Model):
    """One moment of an agent. The widest fields stand first, so that the row has no holes.

    `actions` to `checks` count since the checkpoint before. `tainted`: a verdict `fail` or `unknown` stands
    between it and the last good one; `proven`: a pass does; `soaks`: time may still prove it. `moving`: the
    files that went on changing while it was taken, so that it is not of one moment after all.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    run_id = models.UUIDField()
    parent = models.UUIDField(null=True)
    at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="checkpoints", db_index=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+", db_index=False)
    dependencies = models.ForeignKey(Dependencies, on_delete=models.PROTECT, db_index=False, related_name="+")
    memory_length = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    act = models.BigIntegerField(default=0)
    memory_items = models.IntegerField(default=0)
    files = models.IntegerField(default=0)
    crc = models.IntegerField(default=0)
    root_plain = models.IntegerField(default=0)
    root_chain = models.IntegerField(default=0)
    root_enc = models.SmallIntegerField(default=0)
    root_kind = models.SmallIntegerField(default=0)
    root_depth = models.SmallIntegerField(default=0)
    root_height = models.SmallIntegerField(default=0)
    actions = models.SmallIntegerField(default=0)
    unverified = models.SmallIntegerField(default=0)
    passes = models.SmallIntegerField(default=0)
    fails = models.SmallIntegerField(default=0)
    unknowns = models.SmallIntegerField(default=0)
    checks = models.SmallIntegerField(default=0)
    failing = models.BooleanField(default=False)
    tainted = models.BooleanField(default=False)
    proven = models.BooleanField(default=False)
    soaks = models.BooleanField(default=False)
    pinned = models.BooleanField(default=False)
    standing = models.CharField(max_length=8, choices=Standing)
    proven_by = models.CharField(max_length=8, choices=ProvenBy, blank=True)
    why = models.CharField(max_length=8, choices=Why)
    label = models.CharField(max_length=200, blank=True)
    last_action = models.CharField(max_length=200, blank=True)
    judged_by = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    root: Hash = models.BinaryField()
    memory: HashOrNone = models.BinaryField(null=True)
    workspace: HashOrNone = models.BinaryField(null=True)
    parent_root: HashOrNone = models.BinaryField(null=True)
    root_base: HashOrNone = models.BinaryField(null=True)
    root_body: HashOrNone = models.BinaryField(null=True)
    notes = models.JSONField(null=True)
    moving = models.JSONField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["agent", "at"], name="checkpoints_newest"),
            models.Index(fields=["at"], name="checkpoints_soaking", condition=models.Q(soaks=True)),
            HashIndex(
                fields=["memory"], name="checkpoints_roots", condition=models.Q(root_body__isnull=False)
            ),
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """What the SDK said of the time since the checkpoint before."""
        return {
            "failing": self.failing,
            "verdicts": {"pass": self.passes, "fail": self.fails, "unknown": self.unknowns},
            "actions": self.actions,
            "unverified": self.unverified,
            "checks": self.checks,
            "moving": self.moving or [],
        }


class RetentionPolicy(models.Model):
    """How an agent's checkpoints are thinned, where it is not as thinning.DEFAULT says."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="retention")
    steps = models.JSONField()


class Rollback(models.Model):
    """One way back: ordered by whom and why, what the agent reported, and whether it is proven.

        ordered → (taken) → restoring → applied → verified | failed
              └→ refused, withdrawn or overtaken

    What became of an order before anything began, its command says: see `stage`. One that the agent made by
    itself has no command.
    """

    class State(models.TextChoices):
        ORDERED = "ordered"
        RESTORING = "restoring"
        APPLIED = "applied"
        VERIFIED = "verified"
        FAILED = "failed"
        REFUSED = "refused"
        TAKEN = "taken"
        WITHDRAWN = "withdrawn"
        OVERTAKEN = "overtaken"

    class AskedBy(models.TextChoices):
        HUMAN = "human"
        AGENT = "agent"
        VERDICT = "verdict"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="rollbacks", db_index=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="rollbacks")
    checkpoint = models.UUIDField()
    before = models.UUIDField(null=True)
    command = models.ForeignKey(Command, null=True, on_delete=models.SET_NULL, related_name="rollbacks")
    asked_by = models.CharField(max_length=8, choices=AskedBy, default=AskedBy.HUMAN)
    decision = models.UUIDField(null=True)
    incident = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.ORDERED)
    scope = models.JSONField(default=dict)
    goes_on = models.BooleanField(default=False)
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    ordered_at = models.DateTimeField(default=timezone.now)
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    memory = models.BinaryField(null=True)
    workspace = models.BinaryField(null=True)
    paths = models.JSONField(null=True)
    why = models.CharField(max_length=1000, blank=True)
    kept = models.JSONField(default=list)
    condemned = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["agent", "-ordered_at"], name="rollbacks_newest")]

    @property
    def stage(self) -> str:
        """How far it has come: its own state, and before it began, its command's."""
        if self.state == self.State.ORDERED and self.command is not None:
            return self.command.state if self.command.state != Command.State.DONE else self.State.TAKEN
        return self.state


class Report(models.Model):
    """*Wrong since here*: from when on a human does not trust what the agent did, in an incident."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    instance = models.ForeignKey(Instance, null=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()
    named = models.CharField(max_length=60)
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    at = models.DateTimeField()


class HandEdits(models.Model):
    """What the agent found changed in its workspace since its last snapshot, by nobody it knows."""

    instance = models.OneToOneField(Instance, on_delete=models.CASCADE, primary_key=True, related_name="+")
    at = models.DateTimeField()
    paths = models.JSONField(default=list)
    more = models.PositiveIntegerField(default=0)


class Watch(models.Model):
    """A check that was kept: every new checkpoint of the agent is judged by it."""

    class Policy(models.TextChoices):
        """What comes of it when it begins to fail: a signal, or a failure that counts as well."""

        OBSERVE = "observe"
        ENFORCE = "enforce"

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="watches")
    where = models.CharField(max_length=10)
    path = models.CharField(max_length=1000)
    op = models.CharField(max_length=10)
    value = models.CharField(max_length=1000)
    policy = models.CharField(max_length=10, choices=Policy, default=Policy.OBSERVE)
    is_on = models.BooleanField(default=True)
    by = models.CharField(max_length=200)
    at = models.DateTimeField()


class Watched(models.Model):
    """How one instance stands by a watch: `passes` None where its newest checkpoint could not be judged."""

    watch = models.ForeignKey(Watch, on_delete=models.CASCADE, related_name="seen")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    passes = models.BooleanField(null=True)
    checkpoint = models.UUIDField()
    at = models.DateTimeField()
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["watch", "instance"], name="watched_once")]


class Unjudged(models.Model):
    """A checkpoint that a watch has not judged yet. The row is the queue."""

    watch = models.ForeignKey(Watch, on_delete=models.CASCADE, related_name="+")
    checkpoint = models.UUIDField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["at", "id"], name="unjudged_in_order")]
