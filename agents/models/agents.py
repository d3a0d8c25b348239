"""Agents, their instances and runs.

Identity is (agent, instance): epoch, account, pause and commands belong to the instance. A run is one
life of an instance's process; the server numbers its epoch at register, and the writer with an older
one is fenced: what it had spooled still arrives, marked late, and moves nothing.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from agents.models.people import Project


class Status(models.TextChoices):
    """What an agent is, highest first; the page shows one, never three flags."""

    RESTORING = "restoring"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPED = "stopped"
    BLOCKED = "blocked"
    SILENT = "silent"
    HEALING = "healing"
    PROBATION = "probation"
    RUNNING = "running"
    IDLE = "idle"


class Agent(models.Model):
    """What a developer named; its status is the highest of its instances'."""

    workers: list[Instance]  # by name, with heartbeats; set by queries.fleet.with_workers
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="agents")
    name = models.CharField(max_length=63)
    status = models.CharField(max_length=10, choices=Status, default=Status.IDLE)
    status_since = models.DateTimeField(default=timezone.now)
    version = models.BigIntegerField(default=0)
    about = models.CharField(max_length=500, blank=True)
    owner = models.CharField(max_length=200, blank=True)
    runbook = models.CharField(max_length=500, blank=True)
    while_paused = models.CharField(max_length=500, blank=True)
    heal = models.BooleanField(default=True)
    shared_workspace = models.BooleanField(default=False)
    two_people = models.BooleanField(default=False)
    proves_anew = models.BooleanField(default=False)
    max_consecutive = models.PositiveIntegerField(default=3)
    max_hourly = models.PositiveIntegerField(default=10)
    every_s = models.FloatField(null=True)
    grace_s = models.FloatField(null=True)
    due_at = models.DateTimeField(null=True)
    unattended_since = models.DateTimeField(default=timezone.now)
    bars = models.TextField(default="", blank=True)
    bars_until = models.DateTimeField(null=True)
    last_good = models.UUIDField(null=True)
    escalation = models.ForeignKey("agents.EscalationPolicy", null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_agent_a_name")]
        indexes = [models.Index(fields=["project", "status", "name"], name="agents_by_status")]

    def __str__(self) -> str:
        return self.name


class Instance(models.Model):
    """A worker of an agent. `account` is what its budget has spent (services/accounts says how it is kept).

    `reported` is what its last snapshot said; `status` is what is shown, which a pause that the server
    holds, or silence, may put above it. `held_calls` is how many of its calls wait for a held tool, by the
    tool's name; None where its SDK cannot hold any.
    """

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="instances")
    name = models.CharField(max_length=63, default="main")
    status = models.CharField(max_length=10, choices=Status, default=Status.IDLE)
    status_since = models.DateTimeField(default=timezone.now)
    reported = models.CharField(max_length=10, choices=Status, default=Status.IDLE)
    doing = models.CharField(max_length=200, blank=True)
    doing_since = models.DateTimeField(null=True)
    held_calls = models.JSONField(null=True)
    epoch = models.BigIntegerField(default=0)
    commands_version = models.BigIntegerField(default=0)
    account = models.JSONField(default=dict)
    consecutive = models.PositiveIntegerField(default=0)
    hourly = models.PositiveIntegerField(default=0)
    live = models.BooleanField(default=False)
    beats = models.BooleanField(default=True)
    gone_since = models.DateTimeField(null=True)
    blocked_since = models.DateTimeField(null=True)
    restoring_since = models.DateTimeField(null=True)
    transients = models.PositiveIntegerField(default=0)
    refused_starts = models.PositiveIntegerField(default=0)
    host = models.CharField(max_length=200, blank=True)
    pid = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "name"], name="one_instance_a_name")]
        indexes = [models.Index(fields=["live"], name="instances_live", condition=models.Q(live=True))]


class Heartbeat(models.Model):
    """When an instance was last heard of. Apart from its instance, so that a beat is a HOT update."""

    instance = models.OneToOneField(Instance, on_delete=models.CASCADE, primary_key=True)
    last_seen = models.DateTimeField(default=timezone.now)
    via = models.UUIDField(null=True)


class Presence(models.Model):
    """A server process that agents report to, alive while `seen_at` moves.

    `since` is when it could last begin to hear agents: its start, or the end of a gap in which it stood
    still itself. The watchdog reads it before it calls an agent silent.
    """

    id = models.UUIDField(primary_key=True)
    since = models.DateTimeField()
    seen_at = models.DateTimeField()


class RefusedRegistration(models.Model):
    """Who has a token of the project, tried to register and was refused; one row a name, and few names."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="refused_registrations")
    name = models.CharField(max_length=64, blank=True)
    why = models.CharField(max_length=300)
    times = models.PositiveIntegerField(default=1)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_refusal_a_name")]


class RunState(models.TextChoices):
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    VANISHED = "vanished"


class Run(models.Model):
    """One life of an instance's process. `acked` and `gaps` decide what is new (services/ingest)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="runs")
    epoch = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=RunState, default=RunState.RUNNING)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    acked = models.BigIntegerField(default=0)
    gaps = models.JSONField(default=list)
    offset_s = models.FloatField(default=0.0)
    host = models.CharField(max_length=200, blank=True)
    pid = models.BigIntegerField(null=True)
    code_version = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["instance", "-started_at"], name="runs_newest"),
            models.Index(fields=["instance"], name="runs_running", condition=models.Q(state="running")),
        ]


class Minute(models.Model):
    """Outcomes of one minute of an agent: what the bars are drawn from."""

    pk = models.CompositePrimaryKey("agent_id", "at")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, db_constraint=False)
    at = models.DateTimeField()
    ok = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
