"""The first-run page: its code really runs, its token is shown once, and it sees the first event come."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, Entry, Heartbeat, Kind, Project, Token, User
from dashboard.contexts.welcome import CODE
from tests.pages.rows import make_agent, stored
from tests.product import running_daphne
from tests.waiting import until

PAGE = "/p/main/welcome/"
WORKING = timedelta(seconds=1)


def signed_in(user: User, **defaults: str) -> Client:
    client = Client(**defaults)
    client.force_login(user)
    return client


def block(html: str, id: str) -> str:
    """The text of a code block, as its copy button takes it."""
    found = re.search(rf'<code id="{id}-text">(.*?)</code>', html, re.DOTALL)
    assert found, html
    return unescape(found[1])


@pytest.mark.django_db(transaction=True)
def test_the_code_on_the_page_runs(alice: User, tmp_path: Path) -> None:
    """What the page shows, saved and run as it says, appears on the page and then in the agent's timeline."""
    with running_daphne() as daphne:
        client = signed_in(alice, HTTP_HOST=f"127.0.0.1:{daphne.port}")
        html = client.post(PAGE + "token/").content.decode()
        script = tmp_path / "first_agent.py"
        script.write_text(block(html, "code"))
        exports = dict(re.findall(r"export (\w+)=(\S+)", block(html, "shell")))
        assert exports["SICKBAY_URL"] == daphne.url
        env = {"PATH": os.environ["PATH"], "SICKBAY_HOME": str(tmp_path / "home"), **exports}
        done = subprocess.run(
            [sys.executable, str(script)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        waiting = re.search(r'hx-get="([^"]*welcome/waiting/[^"]*)"', html)
        assert waiting
        address = unescape(waiting[1])
        until(
            lambda: "See first-agent" in client.get(address).content.decode(),
            10,
            "the first event on the page",
        )
        assert Entry.objects.filter(kind=Kind.ACTION, name="double", verdict="pass").count() == 5
        assert "double" in client.get("/p/main/agents/first-agent/").content.decode()


def test_the_code_is_ten_lines() -> None:
    """Ten lines, not counting the empty ones between them, is what the page promises."""
    assert len([line for line in CODE.splitlines() if line]) <= 10
    compile(CODE, "first_agent.py", "exec")


def test_a_token_is_shown_once(alice: User) -> None:
    """The token stands in the answer to the button and on no later page; the button sent twice makes one."""
    client = signed_in(alice)
    form = {
        "id": (re.search(r'name="id" value="(\w{12})"', client.get(PAGE).content.decode()) or pytest.fail())[
            1
        ]
    }
    response = client.post(PAGE + "token/", form)
    token = re.search(r"sb_\w{12}_\w{43}", response.content.decode())
    assert token and "no-store" in response["Cache-Control"]
    assert token[0] not in client.get(PAGE).content.decode()
    client.post(PAGE + "token/", form)
    assert Token.objects.count() == 1


def test_opening_the_page_makes_nothing(alice: User) -> None:
    """The page by GET makes no token; without a CSRF token the button is refused."""
    client = signed_in(alice)
    assert client.get(PAGE).status_code == 200 and client.get(PAGE + "token/")["Location"] == PAGE
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(PAGE + "token/").status_code == 403
    assert not Token.objects.exists()


def test_who_gets_a_token(bob: User, charlie: User) -> None:
    """A viewer sees the code and is told what it takes; an outsider finds nothing."""
    page = signed_in(bob).get(PAGE).content.decode()
    assert "from sickbay import Agent" in page and "takes the role operator" in page
    assert signed_in(bob).post(PAGE + "token/").status_code == 403
    assert (
        signed_in(charlie).get(PAGE).status_code
        == signed_in(charlie).post(PAGE + "token/").status_code
        == 404
    )
    assert Client().get(PAGE).status_code == 302


def test_it_waits_for_what_comes_after(alice: User, project: Project) -> None:
    """Agents that had reported before do not count; the one whose event arrives now is linked."""
    client, now = signed_in(alice), timezone.now()
    heard(make_agent(project, "old"), now - WORKING)
    address = f"{PAGE}waiting/?since={now:%Y-%m-%dT%H:%M:%S.%fZ}"
    before = client.get(address).content.decode()
    assert "Waits for its first event" in before and "1 agent" in before
    heard(make_agent(project, "new"), now + WORKING)
    assert "/p/main/agents/new/" in client.get(address).content.decode()


@pytest.mark.parametrize("since", ["", "yesterday", "%00", "9999-12-31T23:59:59%2B14:00"])
def test_any_since_is_answered(alice: User, since: str) -> None:
    """A moment that cannot be read is now."""
    assert signed_in(alice).get(f"{PAGE}waiting/?since={since}").status_code == 200


def test_an_empty_fleet_leads_here(alice: User) -> None:
    """A fleet without any agent has the way to this page."""
    assert f'href="{PAGE}"' in signed_in(alice).get("/p/main/").content.decode()


def heard(agent: Agent, at: datetime) -> None:
    Heartbeat.objects.create(instance=agent.instances.get(), last_seen=at)
    stored(agent, at=at, received_at=at)
