"""The permission matrix: each address and topic by each role, scope and project, against rows.py."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction

from agents.access import BY_ROLE, BY_SCOPE
from agents.live.routes import agent_routes
from agents.models import Project, User
from agents.queries import topics
from dashboard.live import browser_routes
from tests.security import ground
from tests.security.ground import MARK, Asking, Ground
from tests.security.rows import ALLAUTH, ASKED, ELSEWHERE, OPEN, ROWS, TOPICS

pytestmark = pytest.mark.django_db
REFUSALS = (401, 403, 404, 405)
BEARER = ("api/", "metrics")
CSRF = b"Sent from an old page"


@pytest.fixture
def here(project: Project, alice: User) -> Ground:
    return ground.made(project, alice)


@pytest.fixture
def everybody(here: Ground, charlie: User) -> list[Asking]:
    return ground.everybody(here.project, Project.objects.get(name="elsewhere"))


def test_every_address_has_a_row() -> None:
    """A new one without a row fails, and so does a row of an address that is no more."""
    known = {route for route in ground.routes() if not route.startswith(ALLAUTH)}
    new, gone = sorted(known - ROWS.keys() - OPEN.keys()), sorted((ROWS.keys() | OPEN.keys()) - known)
    assert not new, (
        "write in ROWS of tests/security/rows.py who may ask this, such as "
        + "; ".join(f'"{route}": "GET view"' for route in new)
        + ' (or "POST decide": the verbs of agents/access.py, "send" for an agent\'s token)'
    )
    assert not gone, f"take these rows out of tests/security/rows.py: {gone}"


def test_every_socket_and_topic_has_a_row() -> None:
    """What goes past the URL configuration is named with the test that guards it."""
    patterns = {route.path.pattern for route in agent_routes} | {str(r.pattern) for r in browser_routes}
    assert patterns == ELSEWHERE.keys(), "write in ELSEWHERE of tests/security/rows.py which test guards it"
    assert set(topics.NOUNS) == TOPICS.keys(), "write in TOPICS of tests/security/rows.py who may hear it"


def test_nobody_gets_further_than_their_row(here: Ground, everybody: list[Asking]) -> None:
    """Who may is answered; everybody else is refused, changes nothing, and is shown nothing of it."""
    wrong = []
    for route, row in ROWS.items():
        before = here.state()
        for method in ("GET", "POST"):
            verb = dict(said.split() for said in row.split(", ")).get(method)
            for asking in everybody:
                fault = asked(here, route, method, verb, asking)
                if fault:
                    wrong.append(f"{method} {route} by {asking.name}: {fault}")
        if here.state() != before:
            wrong.append(f"{route}: somebody who may not has changed something")
    assert not wrong, "\n".join(wrong)


def test_no_form_of_another_site_does_anything(here: Ground) -> None:
    """Each address of the screen that takes a POST refuses one without the page's own token."""
    asking = ground.everybody(here.project, Project.objects.create(name="elsewhere"))
    wrong, before = [], here.state()
    admin = next(one for one in asking if one.name == "admin")
    admin.client.handler.enforce_csrf_checks = True
    routes = [route for route, row in ROWS.items() if "POST" in row and not route.startswith(BEARER)]
    for route in routes:
        status, content, _ = answer(here, route, "POST", admin)
        if status != 403 or CSRF not in content:
            wrong.append(f"{route}: {status}")
    assert len(routes) > 50 and not wrong, "\n".join(wrong)
    assert here.state() == before


def asked(here: Ground, route: str, method: str, verb: str | None, asking: Asking) -> str:
    """Ask; what is wrong with the answer. What who may has done is taken back."""
    may = verb is not None and may_do(verb, route, asking)
    if verb is None and asking.name not in ("admin", "operator token", "agent token"):
        return ""  # who may most is asked for what is not there
    with transaction.atomic():
        status, content, to_login = answer(here, route, method, asking)
        if may:
            transaction.set_rollback(True)
    if status >= 500:
        return f"it answers {status}"
    if may:
        return f"refused with {status}" if status in REFUSALS or to_login else ""
    if MARK.encode() in content:
        return "it shows what is the project's"
    if asking.is_foreign and asking.scope is not None:
        return ""  # it is answered about its own project; the state of ours is compared
    return "" if status in REFUSALS or to_login else f"answered with {status}"


def answer(here: Ground, route: str, method: str, asking: Asking) -> tuple[int, bytes, bool]:
    asks = ASKED.get(route, {})
    said = {key: value for key, value in asks.items() if key[0] != "?"}
    more_of_it = urlencode({key[1:]: here.values[str(asks[key])] for key in asks.keys() - said.keys()})
    path = here.path(route) + (f"?{more_of_it}" if more_of_it else "")
    asking.client.raise_request_exception = False
    more: dict[str, Any] = {"headers": asking.headers}
    if method == "GET":
        found = asking.client.get(path, said, **more)
    elif route.startswith("api/"):
        found = asking.client.post(path, json.dumps(said), content_type="application/json", **more)
    else:
        found = asking.client.post(path, said, **more)
    to_login = found.status_code == 302 and "/accounts/login/" in found.headers["Location"]
    return found.status_code, b"" if found.streaming else found.content, to_login


def may_do(verb: str, route: str, asking: Asking) -> bool:
    """The API knows bearers, the screen sessions; neither knows the other, nor another project."""
    if verb == "own":
        return asking.role is not None
    if asking.is_foreign:
        return False
    if route.startswith(BEARER):
        return asking.scope is not None and verb in BY_SCOPE[asking.scope]
    return asking.role is not None and verb in BY_ROLE[asking.role]


def test_nobody_hears_of_another_project(here: Ground, everybody: list[Asking]) -> None:
    """Each topic is heard by every role of its project, and by nobody else."""
    number = {"agent": here.values["agents int"], "incident": here.values["incidents"]}
    number["standing"] = number["agent"]
    subjects = [f"{noun}-{number.get(noun, here.project.pk)}" for noun in TOPICS]
    projects = topics.projects_of(subjects)
    assert set(projects) == set(subjects)
    for asking in everybody:
        key = asking.client.session.session_key or ""
        rights = topics.rights_of([key]).get(key)
        for subject in subjects:
            may = asking.role is not None and not asking.is_foreign
            assert (rights is not None and rights.sees(projects[subject])) is may, (asking.name, subject)
