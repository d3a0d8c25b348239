"""Workers and beats on the test database, receivers that count, and incidents to tell of."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
from django.conf import settings
from django.utils import timezone

from agents.models import AlertTarget, Incident, Project
from agents.services import targets
from dashboard.embedded.children import Child
from tests.domain import cast
from tests.domain.receivers import Hook, Mailbox
from tests.product import MANAGE, database_url

WORKER = [sys.executable, "-m", "celery", "-A", "dashboard", "worker", "--without-gossip", "--without-mingle"]
Started = Callable[..., Child]


@contextlib.contextmanager
def starting(
    below: Path, mailbox: Mailbox, redis_url: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Starts `worker` or `beat`, to die at a failpoint if one is given; all end with the test."""
    started: list[Child] = []

    def start(name: str, failpoint: str = "") -> Child:
        its = {
            "SICKBAY_DATABASE_URL": database_url(),
            "SICKBAY_REDIS_URL": redis_url or settings.REDIS_URL,
            "SICKBAY_ALERT_ALLOW_CIDRS": "127.0.0.0/8",
            "SICKBAY_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
            "SICKBAY_FAILPOINT": failpoint,
            "SICKBAY_LOG": "info",
            **(env or {}),
        }
        command = WORKER if name == "worker" else [*MANAGE, name]
        log = below / f"{name}-{len(started)}.log"
        started.append(Child(name, command, log=log, env=its))
        started[-1].start()
        return started[-1]

    try:
        yield start
    finally:
        for child in started:
            child.stop(3)


def family(child: Child) -> list[psutil.Process]:
    process = psutil.Process(child.pid)
    return [process, *process.children(recursive=True)]


def make_webhook(project: Project, hook: Hook, label: str = "hook") -> AlertTarget:
    return AlertTarget.objects.create(
        project=project, kind="webhook", label=label, address=hook.url,
        secret=targets.encrypt(targets.new_secret()),
    )  # fmt: skip


def falls_ill(project: Project, name: str = "refund-desk") -> Incident:
    """An agent pauses now, and its incident opens."""
    return cast.spends_its_budget(cast.worker(project, name), now=timezone.now()).incident


def told(hook: Hook, about: str = "incident.opened") -> Counter[str]:
    """How often each message (by its id) of this kind was handed over."""
    return Counter(
        post.headers["webhook-id"] for post in list(hook.posts) if f'"{about}"'.encode() in post.body
    )
