"""Channels that hang hold up neither the others, nor timers, nor the worker's pulse."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from agents.models import Escalation, Project
from tests.domain import receivers
from tests.faults import on_call
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)
HANGING = 6


@pytest.fixture
def hanging() -> Iterator[receivers.Hook]:
    let_go = threading.Event()
    with receivers.web_server() as hook:
        hook.answer = lambda handler: let_go.wait(60) and None
        yield hook
        let_go.set()


def test_a_page_goes_out_at_once_beside_channels_that_hang(
    project: Project, hanging: receivers.Hook, tmp_path: Path
) -> None:
    """Six channels hang, told first; the seventh has the page within two seconds, and timers stay on time."""
    for number in range(HANGING):
        on_call.make_webhook(project, hanging, f"hangs-{number}")
    with receivers.mail_server() as mailbox, receivers.web_server() as good:
        on_call.make_webhook(project, good)
        with on_call.starting(tmp_path, mailbox) as start, redis.Redis.from_url(settings.REDIS_URL) as client:
            client.flushall()
            start("worker"), start("beat")
            until(lambda: client.get("sickbay:pulse:worker"), 60 * slowness(), "the worker")
            began = time.monotonic()
            on_call.falls_ill(project)
            until(lambda: on_call.told(good), 20, "the page")
            assert time.monotonic() - began <= 2 * slowness()
            until(lambda: len(hanging.posts) >= HANGING, 10, "every channel to be tried")
            Escalation.objects.update(due_at=timezone.now())
            began = time.monotonic()
            until(lambda: Escalation.objects.get().told == 2, 20, "the next step")
            assert time.monotonic() - began <= 5 * slowness()
