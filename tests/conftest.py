"""The cast: alice operates, bob watches, charlie is outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth import user_logged_in
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, transaction
from django.db.backends.postgresql.operations import DatabaseOperations
from django.http import HttpRequest
from django.test import Client

from agents.models import Membership, Project, Role, User
from tests.faults import schedule as faults

# A million rounds for each of the cast cost most of a test's time; any server verifies one round as well.
PBKDF2PasswordHasher.iterations = 1


@pytest.fixture
def project(db: None) -> Project:
    return Project.objects.create(name="main")


@pytest.fixture
def alice(project: Project) -> User:
    return member(project, "alice@example.com", "Alice", Role.OPERATOR)


@pytest.fixture
def bob(project: Project) -> User:
    return member(project, "bob@example.com", "Bob", Role.VIEWER)


@pytest.fixture
def charlie(db: None) -> User:
    elsewhere = Project.objects.create(name="elsewhere")
    return member(elsewhere, "charlie@example.com", "Charlie", Role.ADMIN)


@pytest.fixture(autouse=True)
def signed_in_just_now() -> Iterator[None]:
    """`force_login` is a sign-in of this moment, as the door would note it; the real door notes its own."""

    def note(request: HttpRequest, user: User, **more: Any) -> None:
        if not request.path:
            record_authentication(request, user, method="password")

    user_logged_in.connect(note)
    yield
    user_logged_in.disconnect(note)


def long_ago(client: Client) -> Client:
    """The same session, an hour after signing in."""
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 3600
    session.save()
    return client


def member(project: Project, email: str, name: str, role: Role) -> User:
    user = User.objects.create_user(email, "a long enough one", name=name)
    Membership.objects.create(project=project, user=user, role=role)
    return user


@pytest.fixture(scope="session", autouse=True)
def flush_everything() -> Iterator[None]:
    """What a test with real commits leaves goes, the timeline and the append-only log too.

    Django's flush knows no unmanaged table, and the log refuses to be truncated, as it should.
    """

    def execute_sql_flush(operations: DatabaseOperations, sql_list: list[str]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE agents_auditentry DISABLE TRIGGER agents_audit_no_truncate")
            for sql in ["TRUNCATE agents_entry, checkpoints_node", *sql_list]:
                cursor.execute(sql)
            cursor.execute("ALTER TABLE agents_auditentry ENABLE TRIGGER agents_audit_no_truncate")

    original: Any = DatabaseOperations.execute_sql_flush
    DatabaseOperations.execute_sql_flush = execute_sql_flush  # type: ignore[method-assign]
    yield
    DatabaseOperations.execute_sql_flush = original  # type: ignore[method-assign]


WHOLE_PRODUCT = {"browser", "faults", "live", "shell"}
SCHEDULE = pytest.StashKey[faults.Schedule]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--faults", choices=("short", "long"), default="short", help="how often faults strike")
    group.addoption("--faults-seed", type=int, help="play this schedule of faults again")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SCHEDULE] = faults.made(config.getoption("faults"), config.getoption("faults_seed"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if (schedule := config.stash[SCHEDULE]).is_long:
        terminalreporter.write_line(f"the faults came from --faults=long --faults-seed={schedule.seed}")


@pytest.fixture(scope="session")
def schedule(pytestconfig: pytest.Config) -> faults.Schedule:
    return pytestconfig.stash[SCHEDULE]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves a running loop in the main thread, which asyncio.run refuses.

    Of the tests that start a whole product one runs at a time, in the same one of two workers.
    """
    items.sort(key=lambda item: "browser" in item.path.parts)
    for item in items:
        heavy = WHOLE_PRODUCT.intersection(item.path.parts)
        item.add_marker(pytest.mark.xdist_group("whole product" if heavy else str(item.path)))
