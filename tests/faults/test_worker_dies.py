"""The worker killed at each place where it drops checkpoints or sweeps nodes away."""

from __future__ import annotations

import os
import random
import subprocess

import pytest
from django.conf import settings
from django.utils import timezone

from agents.models import Agent, Project
from checkpoints.models import Checkpoint, Node, RetentionPolicy
from checkpoints.services import retention, verifying
from tests.builders import Wire, make_token
from tests.product import MANAGE, database_url
from tests.restore.taker import Taker

pytestmark = pytest.mark.django_db(transaction=True)
DROPPING = ["retention:taken_over", "retention:dropped"]
SWEEPING = ["sweeping:named", "sweeping:batch"]


def dies(point: str) -> None:
    """A process that does what the worker does every quarter of an hour, and is gone at that place."""
    servers = {"SICKBAY_DATABASE_URL": database_url(), "SICKBAY_REDIS_URL": settings.REDIS_URL}
    env = {**os.environ, **servers, "SICKBAY_FAILPOINT": point}
    done = subprocess.run([*MANAGE, "retain"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 137, f"{point} was not passed: {done.stderr}"


def test_killed_at_each_place_of_retention_and_sweep(project: Project) -> None:
    """P11: all or nothing of a batch is dropped, no node dangles, and the next turn finishes the job."""
    wire = Wire(make_token(project))
    assert wire.register().status_code == 200
    taker, dice = Taker(wire), random.Random(11)
    for step in range(8):
        words = " ".join(str(dice.random()) for _ in range(900))
        memory = {"messages": [{"n": step, "words": words}], "step": step}
        assert taker.take(memory).status_code == 200
    RetentionPolicy.objects.create(agent=Agent.objects.get(), steps=[(1e-6, 0)])
    nodes = Node.objects.count()
    for point in [*DROPPING, *SWEEPING]:
        dies(point)
        assert Checkpoint.objects.count() == (8 if point in DROPPING else 2), point
        assert Node.objects.count() >= nodes, "nothing is swept in a batch that did not end"
        found = verifying.verify(project, timezone.now())
        assert found.is_whole, (point, found.damaged_nodes, found.damaged)
    assert retention.retain(project, timezone.now()).freed.nodes > 0
    assert verifying.verify(project, timezone.now()).is_whole
    assert Checkpoint.objects.count() == 2 and Node.objects.count() < nodes
