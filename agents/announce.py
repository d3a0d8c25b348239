"""Announcements: "this subject is now at that version", published after commit.

Publishing takes half a millisecond on a kept connection, has limits of 250 ms, and its errors are counted
and swallowed: a hint that is lost costs time, never data. After a lost one nothing more is published inline
(each would cost a request its 250 ms); a thread tries once a second, and when Valkey is back it tells every
hub to look again.

Subjects: `agent-<pk>`, `standing-<agent pk>`, `fleet-<project pk>`, `incident-<pk>`, `commands-<instance pk>`
and `project-<pk>`. An agent that acts is news of `agent-` all the time; its status, its budget and what holds
it change seldom and are told on `standing-` too: who is told `agent-` seldom enough still hears it at once.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable

import redis
from django.conf import settings
from django.db import connection, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.hub import CHANNEL, EVERYTHING, Announcement

LIMIT = 0.25
AGAIN_EVERY = 1.0
TURN_AGENT = "UPDATE agents_agent SET version = version + 1 WHERE id = %s RETURNING version"
TURN_PROJECT = "UPDATE agents_project SET version = version + 1 WHERE id = %s RETURNING version"


class Publisher:
    """A kept connection, and the debt of announcements that did not get through."""

    def __init__(self) -> None:
        self.lost = 0
        self._lock = threading.Lock()
        self.owes = False

    @functools.cached_property
    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=LIMIT,
            socket_connect_timeout=LIMIT,
            retry=Retry(NoBackoff(), 0),
        )

    def publish(self, announcement: Announcement) -> None:
        if self.owes:
            self.lost += 1
            return
        try:
            self._client.publish(CHANNEL, announcement.encode())
        except (redis.RedisError, OSError):
            self._lose()

    def _lose(self) -> None:
        with self._lock:
            self.lost += 1
            if self.owes:
                return
            self.owes = True
        threading.Thread(target=self._make_good, name="announce-again", daemon=True).start()

    def _make_good(self) -> None:
        """Until everyone has been told to look again. Cleared first: what is lost meanwhile owes anew."""
        pause = threading.Event()
        while not pause.wait(AGAIN_EVERY):
            try:
                self._client.ping()
                self.owes = False
                self._client.publish(CHANNEL, Announcement(EVERYTHING, 0).encode())
                return
            except (redis.RedisError, OSError):
                self.owes = True


publisher = Publisher()


def announce(subject: str, version: int, *, spread_ms: int = 0) -> None:
    """Tell whoever waits for `subject`, once the surrounding transaction has committed."""
    announcement = Announcement(subject, version, spread_ms)
    transaction.on_commit(functools.partial(publisher.publish, announcement), robust=True)


def changed_agent(agent_id: int, project_id: int, *, standing: bool = True) -> None:
    """A new version of the agent and of its project, announced; once a transaction, however often called.

    Call it late: the two rows stay locked until the commit, agent first.
    """
    changed_agents([agent_id], project_id, standing=standing)


def changed_agents(agent_ids: Iterable[int], project_id: int, *, standing: bool = True) -> None:
    """The same for several at once: agents in order, then the project, so that nobody waits in a circle."""
    block = _outermost_block()
    fresh = []
    for id in sorted(set(agent_ids)):
        if (bumped := _bumped(id, block)) is None:
            fresh.append(id)
        else:
            bumped.standing |= standing
    if not fresh:
        return
    *versions, project = _turned(*((TURN_AGENT, id) for id in fresh), (TURN_PROJECT, project_id))
    for id, version in zip(fresh, versions, strict=True):
        if version is not None and project is not None:
            said = Announcement(f"agent-{id}", version), Announcement(f"fleet-{project_id}", project)
            transaction.on_commit(_Changed(id, block, said, standing), robust=True)


def changed_project(project_id: int) -> None:
    """A new version of the project alone: its fleet has news that belong to no agent."""
    (version,) = _turned((TURN_PROJECT, project_id))
    if version is not None:
        announce(f"fleet-{project_id}", version)


def _turned(*turns: tuple[str, int]) -> list[int | None]:
    """The new version of each, in one trip; None where there is no such row."""
    found: list[int | None] = []
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statement for statement, _ in turns), [pk for _, pk in turns])
        while len(found) < len(turns):
            row = cursor.fetchone()
            found.append(row[0] if row else None)
            cursor.nextset()
    return found


def _bumped(agent_id: int, block: object | None) -> _Changed | None:
    """What this transaction will announce of the agent, if it has given it its new version already."""
    if block is None:
        return None
    for _, func, *_ in connection.run_on_commit:
        if isinstance(func, _Changed) and func.agent_id == agent_id and func.block is block:
            return func
    return None


class _Changed:
    """What the commit will announce, and the mark that this transaction has bumped this agent already."""

    def __init__(
        self, agent_id: int, block: object, announcements: tuple[Announcement, ...], standing: bool
    ) -> None:
        self.agent_id = agent_id
        self.block = block
        self.standing = standing
        self._announcements = announcements

    def __call__(self) -> None:
        """Its standing first: that is what people wait for."""
        if self.standing:
            publisher.publish(Announcement(f"standing-{self.agent_id}", self._announcements[0].version))
        for announcement in self._announcements:
            publisher.publish(announcement)


def _outermost_block() -> object | None:
    """The transaction we are in; the one that a test case wraps around everything is not ours."""
    for block in connection.atomic_blocks:
        if not getattr(block, "_from_testcase", False):
            return block
    return None
