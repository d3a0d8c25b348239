"""The fleet page: who may see it, what stands first, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.announce import changed_agent
from agents.models import Agent, Instance, Project, Status, User
from dashboard.contexts import waiting
from tests.pages import story

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def queries(ask: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as caught:
        ask()
    return len(caught)


def test_only_who_lives_runs_unattended(signed_in: Client, project: Project) -> None:
    """An idle agent whose process is gone is not counted on the calm line."""
    now = timezone.now()
    story.make_worker(project, "alive", Status.RUNNING, now)
    story.make_worker(project, "gone", Status.IDLE, now, live=False, gone_since=now, alone=99 * story.MINUTE)
    page = signed_in.get("/p/main/").content.decode()
    assert "alive has run 9 d 0 h unattended." in page and "2 agents run unattended" not in page


def test_strangers_go_to_the_door(client: Client, project: Project) -> None:
    """Who is not signed in is asked to, and comes back to the page."""
    answer = client.get("/p/main/?status=paused")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/p/main/%3Fstatus%3Dpaused"


def test_a_fragment_is_never_the_door(client: Client, project: Project) -> None:
    """A region whose reader was signed out reloads the page instead of showing the door inside it."""
    answer = client.get("/p/main/fleet/waiting/", headers={"HX-Request": "true"})
    assert answer.status_code == 401 and answer["HX-Refresh"] == "true"


@pytest.mark.parametrize(
    "path", ["", "fleet/waiting/", "fleet/agents/", "fleet/agents/1/", "incidents/", "pause/ask/"]
)
def test_others_projects_are_not_there(client: Client, charlie: User, project: Project, path: str) -> None:
    """For who is no member a project is as absent as one that does not exist."""
    client.force_login(charlie)
    assert client.get(f"/p/main/{path}").status_code == 404
    assert client.get(f"/p/none/{path}").status_code == 404


def test_home_leads_to_the_project(signed_in: Client) -> None:
    """The bare address is the fleet of the first project that is theirs."""
    assert signed_in.get("/")["Location"] == "/p/main/"


def test_what_needs_a_human_stands_first(signed_in: Client, project: Project) -> None:
    """Paused before silent before healing before running before idle, and of those that wait the longest."""
    now = timezone.now()
    story.make_paused(project, now)
    story.make_worker(project, "older", Status.PAUSED, now, since=now - timedelta(hours=2))
    for name, status in {
        "e": Status.IDLE,
        "d": Status.RUNNING,
        "c": Status.HEALING,
        "b": Status.SILENT,
    }.items():
        story.make_worker(project, name, status, now)
    rows = signed_in.get("/p/main/").context["rows"]
    assert [row.agent.name for row in rows] == ["older", "refund-desk", "b", "c", "d", "e"]


def test_nothing_waits(signed_in: Client, project: Project) -> None:
    """A calm line takes the place of the list, and says who has run alone for how long."""
    now = timezone.now()
    story.make_worker(project, "refund-desk", Status.RUNNING, now, alone=timedelta(days=11, hours=4))
    page = signed_in.get("/p/main/").content.decode()
    assert "Nothing is waiting for you. refund-desk has run 11 d 4 h unattended." in page
    assert 'class="waiting"' not in page


def test_the_wait_says_all_in_one_row(signed_in: Client, project: Project) -> None:
    """What broke, the how many-th time, the budget, who saw it, one next step."""
    story.make_paused(project, timezone.now())
    page = signed_in.get("/p/main/fleet/waiting/").content.decode()
    for said in (
        "Refund differs from the order",
        "; 7th time",
        "Not seen yet",
        "3 of 3",
        "6 of 10",
        "Review and decide",
    ):
        assert said in page


def test_a_page_costs_the_same_for_ten_and_a_hundred(signed_in: Client, project: Project) -> None:
    """A constant number of queries, whatever the fleet."""
    now = timezone.now()
    story.make_fleet(project, now, size=10)
    signed_in.get("/p/main/")
    ten = queries(lambda: signed_in.get("/p/main/"))
    for n in range(90):
        story.make_worker(project, f"more-{n}", Status.RUNNING, now)
    assert queries(lambda: signed_in.get("/p/main/")) == ten <= 25


def test_pages_of_a_hundred(signed_in: Client, project: Project) -> None:
    """The hundred and first is on the second page, and a page beyond the last is the last."""
    now = timezone.now()
    for n in range(101):
        story.make_worker(project, f"a{n:03}", Status.RUNNING, now)
    second = signed_in.get("/p/main/?page=2")
    assert [row.agent.name for row in second.context["rows"]] == ["a100"]
    assert signed_in.get("/p/main/?page=99").context["asked"].page == 2


def test_filters_stand_in_the_address(signed_in: Client, project: Project) -> None:
    """By status, by a part of the name, in an order; what is not understood is at rest."""
    story.make_fleet(project, timezone.now(), size=12)

    def names(query: str) -> list[str]:
        return [row.agent.name for row in signed_in.get(f"/p/main/?{query}").context["rows"]]

    assert names("status=paused") == ["refund-desk"]
    assert names("q=SYNC") == ["ledger-sync"]
    assert names("sort=name")[0] == "ledger-sync"
    assert names("sort=failures")[0] == "refund-desk"
    assert names("sort=unattended")[0] == "worker-009"
    assert len(names("status=nonsense&sort=nonsense&page=x&q=%00")) == 12


def test_a_row_is_known_by_its_version(signed_in: Client, project: Project) -> None:
    """Who has the row's version gets 304; after a change they get the row."""
    agent = story.make_paused(project, timezone.now()).instance.agent
    address = f"/p/main/fleet/agents/{agent.pk}/"
    first = signed_in.get(address)
    assert first.status_code == 200 and f'id="agent-row-{agent.pk}"' in first.content.decode()
    same = {"If-None-Match": first["ETag"]}
    assert signed_in.get(address, headers=same).status_code == 304
    changed_agent(agent.pk, project.pk)
    assert signed_in.get(address, headers=same).status_code == 200


def test_a_row_of_another_project_is_not_there(signed_in: Client, charlie: User) -> None:
    """An agent's number from elsewhere is 404 here."""
    theirs = story.make_worker(charlie.memberships.get().project, "theirs", Status.RUNNING, timezone.now())
    assert signed_in.get(f"/p/main/fleet/agents/{theirs.agent_id}/").status_code == 404


def test_the_list_moves_only_when_its_order_does(signed_in: Client, project: Project) -> None:
    """The table is 204 while the same agents stand in the same order with the same status."""
    story.make_fleet(project, timezone.now(), size=5)
    have = signed_in.get("/p/main/").context["table_mark"]
    address = f"/p/main/fleet/agents/?have={have}"
    assert signed_in.get(address).status_code == 204
    Agent.objects.filter(name="worker-000").update(status=Status.BLOCKED)
    assert signed_in.get(address).status_code == 200


def test_the_waiting_list_moves_only_when_it_differs(signed_in: Client, project: Project) -> None:
    """204 until something begins or ends to wait, or is seen."""
    paused = story.make_paused(project, timezone.now())
    address = f"/p/main/fleet/waiting/?have={signed_in.get('/p/main/').context['waiting_mark']}"
    assert signed_in.get(address).status_code == 204
    signed_in.post(f"/p/main/incidents/{paused.incident.pk}/acknowledge/")
    assert "Seen by Alice" in signed_in.get(address).content.decode()


def test_the_hour_rolls_while_nothing_is_written(signed_in: Client, project: Project) -> None:
    """Failures leave the hour's count by the clock, not when the agent next reports."""
    now = timezone.now()
    old = story.account([3500, 200], 0, now - timedelta(minutes=5))
    story.make_worker(project, "rolls", Status.RUNNING, now, account=old)
    (row,) = signed_in.get("/p/main/").context["rows"]
    assert row.spent.hourly == 1


def test_what_an_agent_says_is_text(signed_in: Client, project: Project) -> None:
    """Markup, template code and turned-around text from an agent are shown, never obeyed."""
    now = timezone.now()
    story.make_worker(project, "evil", Status.RUNNING, now, doing=HOSTILE, agent={"about": HOSTILE})
    paused = story.make_paused(project, now)
    type(paused.incident).objects.filter(pk=paused.incident.pk).update(title=HOSTILE)
    page = signed_in.get("/p/main/").content.decode()
    assert "<script>alert" not in page and "\u202e" not in page and "49" not in page.split("alert(1)")[1][:40]


def test_who_only_looks_selects_nothing(client: Client, bob: User, project: Project) -> None:
    """A viewer sees the fleet without boxes to tick."""
    story.make_fleet(project, timezone.now(), size=3)
    client.force_login(bob)
    page = client.get("/p/main/").content.decode()
    assert "refund-desk" in page and "tick-box" not in page


@pytest.mark.parametrize(
    ("title", "bold"),
    [
        ("soldier2 gave 400.00 € for 40", ["400.00", "40"]),
        ("agent-42 and v1.2 failed", []),
        ("3 failures in a row, limit 3", ["3", "3"]),
        ("10 this hour; 2nd time", ["10"]),
    ],
)
def test_figures_stand_out_and_names_do_not(title: str, bold: list[str]) -> None:
    """A digit inside a name is no figure."""
    parts = waiting.figures(title)
    assert [text for text, is_figure in parts if is_figure] == bold
    assert "".join(text for text, _ in parts) == title


def test_a_gone_process_begins_no_row_with_a_comma(signed_in: Client, project: Project) -> None:
    """The cell starts with what there is to say."""
    instance = story.make_worker(project, "gone", Status.SILENT, timezone.now(), live=False)
    Instance.objects.filter(pk=instance.pk).update(gone_since=timezone.now(), doing="")
    html = signed_in.get("/p/main/").content.decode()
    assert "Process gone since" in html and ">, process" not in html
