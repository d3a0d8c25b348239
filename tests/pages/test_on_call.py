"""The on-call pages: who is on duty, who is told, and forms that say what to write instead."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import AuditEntry, EscalationPolicy, Membership, Override, Project, Schedule, Team, User
from tests.domain.test_escalation import make_policy, make_rota, step, whom

pytestmark = pytest.mark.django_db
PAGE = "/p/main/on-call/"


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def rota_form(*people: User, **fields: Any) -> dict[str, Any]:
    return {
        "name": "Payments", "person": [one.pk for one in people], "zone": "Europe/Berlin", "every_days": 7,
        "starts_on": "2026-03-02", "hand_over": "09:00", "day": list(range(7)), **fields,
    }  # fmt: skip


def policy_form(*steps: tuple[str, int], **fields: Any) -> dict[str, Any]:
    return {
        "name": "nights", "whom": [whom for whom, _ in steps], "wait": [wait for _, wait in steps],
        "repeats": 2, "seen_for": 30, "is_default": "on", **fields,
    }  # fmt: skip


def test_without_anything_it_says_who_is_told(client: Client, project: Project) -> None:
    """A project that set nothing up reads that every channel is told, and how often."""
    text = client.get(PAGE).content.decode()
    assert "every channel is told at once, and again every 15 min, 3 times" in text


def test_a_rota_is_made_and_shows_who_is_on_duty(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    """The form makes a rota with its turns in order; the page names who is on duty, and who comes next."""
    answer = client.post(f"{PAGE}rotas/new/", rota_form(bob, alice))
    assert answer.status_code == 302
    schedule = Schedule.objects.get()
    assert list(schedule.turns.order_by("position").values_list("user", flat=True)) == [bob.pk, alice.pk]
    assert (schedule.zone, schedule.weekdays) == ("Europe/Berlin", 127)
    text = client.get(PAGE).content.decode()
    assert "is on duty until" in text and "a week each, handed over at 09:00 Europe/Berlin" in text
    assert AuditEntry.objects.filter(verb="keep rota").exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"zone": "Middle/Earth"}, "like Europe/Berlin"),
        ({"person": []}, "Name at least one person"),
        ({"day": []}, "Choose at least one day"),
        ({"every_days": "0"}, "1 to 90 days"),
        ({"every_days": "٣"}, "Write a whole number"),
        ({"hand_over": "25:00"}, "like 09:00"),
        ({"starts_on": "soon"}, "like 2026-03-02"),
        ({"since": "09:00"}, "Write both hours"),
        ({"name": "  "}, "Give it a name"),
        ({"name": "a\x00b" * 100, "zone": "x\x00"}, "like Europe/Berlin"),
    ],
)
def test_a_bad_rota_is_refused_beside_its_field(
    fields: dict[str, Any], said: str, client: Client, alice: User
) -> None:
    """Nothing is kept, what was typed stands in the form, and the sentence says what to write."""
    answer = client.post(f"{PAGE}rotas/new/", rota_form(alice, **fields))
    assert (answer.status_code, Schedule.objects.count()) == (422, 0)
    assert said in answer.content.decode()


def test_only_members_take_turns(client: Client, charlie: User) -> None:
    """Somebody of another project is refused, and not named."""
    answer = client.post(f"{PAGE}rotas/new/", rota_form(charlie))
    assert answer.status_code == 422 and charlie.email not in answer.content.decode()


def test_a_gap_is_said(client: Client, project: Project, alice: User) -> None:
    """A rota that covers no weekend says when nobody is on duty; so does one with a gap far ahead."""
    make_rota(project, alice, weekdays=0b0011111, starts_on=dt.date(2026, 1, 5))
    assert "nobody, until" in client.get(PAGE).content.decode()


def test_a_gap_now_is_said_in_red(client: Client, project: Project, alice: User) -> None:
    """A rota that has not begun says that nobody is on duty, and who is told instead."""
    make_rota(project, alice, starts_on=timezone.now().date() + dt.timedelta(days=9))
    assert "every channel is told instead" in client.get(PAGE).content.decode()


def test_standing_in_and_ending_it(client: Client, project: Project, alice: User, bob: User) -> None:
    """Who stands in is on duty at once, until it is ended."""
    schedule = make_rota(project, alice, starts_on=dt.date(2026, 1, 5))
    ends = (timezone.now() + dt.timedelta(hours=2)).isoformat()[:16]
    form = {"person": bob.pk, "starts_at": timezone.now().isoformat()[:16], "ends_at": ends}
    client.post(f"{PAGE}rotas/{schedule.pk}/stand-in/", form)
    assert "Bob</bdi></b> is on duty" in client.get(PAGE).content.decode()
    client.post(f"{PAGE}stand-ins/{Override.objects.get().pk}/end/")
    assert "Alice</bdi></b> is on duty" in client.get(PAGE).content.decode()


def test_a_stand_in_that_never_ends_is_refused(client: Client, project: Project, alice: User) -> None:
    """It ends after it starts, within sixty days."""
    schedule = make_rota(project, alice)
    form = {"person": alice.pk, "starts_at": "2026-03-02T09:00", "ends_at": "2026-03-02T08:00"}
    answer = client.post(f"{PAGE}rotas/{schedule.pk}/stand-in/", form)
    assert answer.status_code == 422 and "at most 60 days" in answer.content.decode()


def test_a_policy_is_kept_with_its_steps(client: Client, project: Project, alice: User) -> None:
    """Rows without anybody are left out; the page reads it back as a sentence for each step."""
    schedule = make_rota(project, alice)
    steps = [(f"schedule-{schedule.pk}", 5), ("", 10), (f"person-{alice.pk}", 0), ("everyone-0", 10)]
    assert client.post(f"{PAGE}policies/new/", policy_form(*steps)).status_code == 302
    kept = EscalationPolicy.objects.get()
    assert [(one["tell"][0]["kind"], one["wait_s"]) for one in kept.steps] == [
        ("schedule", 300), ("person", 0), ("everyone", 600),
    ]  # fmt: skip
    text = client.get(PAGE).content.decode()
    assert "on duty in Payments" in text and "wait 5 min" in text and "together with" in text


@pytest.mark.parametrize(
    ("steps", "fields", "said"),
    [
        ([], {}, "say who is told first"),
        ([("everyone-0", 0)], {}, "waits at least a minute"),
        ([("everyone-0", 2000)], {}, "at most a day"),
        ([("everyone-0", 5)] * 13, {}, "1 to 12 steps"),
        ([("person-999999", 5)], {}, "no member of this project"),
        ([("channel-999999", 5)], {}, "no such channel"),
        ([("everyone-0", 5)], {"repeats": "1e3"}, "Write a whole number"),
        ([("everyone-0", 5)], {"seen_for": "1"}, "5 minutes to a day"),
        ([("everyone-0", 5)], {"quiet_from": "22:00"}, "Write both ends"),
    ],
)
def test_a_bad_policy_is_refused(
    steps: list[tuple[str, int]], fields: dict[str, Any], said: str, client: Client
) -> None:
    """Nothing is kept, and the sentence says what to write."""
    answer = client.post(f"{PAGE}policies/new/", policy_form(*steps, **fields))
    assert (answer.status_code, EscalationPolicy.objects.count()) == (422, 0)
    assert said in answer.content.decode()


def test_one_policy_is_the_projects(client: Client, project: Project, alice: User) -> None:
    """A new default takes the place of the one before."""
    former = make_policy(project, step(whom("person", alice)), name="former")
    client.post(f"{PAGE}policies/new/", policy_form(("everyone-0", 5)))
    former.refresh_from_db()
    assert not former.is_default and EscalationPolicy.objects.get(is_default=True).name == "nights"


def test_a_name_is_taken_once(client: Client, project: Project, alice: User) -> None:
    """Two teams of one name cannot be told apart at night."""
    Team.objects.create(project=project, name="money")
    answer = client.post(f"{PAGE}teams/new/", {"name": "money", "member": [alice.pk]})
    assert answer.status_code == 422 and "Another one has this name" in answer.content.decode()


def test_a_step_that_names_nobody_any_more_is_marked(client: Client, project: Project, alice: User) -> None:
    """A team that was removed stands in red in the policy that named it."""
    team = Team.objects.create(project=project, name="money")
    make_policy(project, step(whom("team", team)))
    client.post(f"{PAGE}teams/{team.pk}/remove/")
    text = client.get(PAGE).content.decode()
    assert not Team.objects.exists() and "somebody who is gone" in text


def test_another_projects_are_not_there(client: Client, charlie: User, alice: User) -> None:
    """Neither shown, nor changed, nor removed."""
    theirs = make_rota(Project.objects.get(name="elsewhere"), charlie)
    for path in (f"rotas/{theirs.pk}/", f"rotas/{theirs.pk}/remove/", f"rotas/{theirs.pk}/stand-in/"):
        form = rota_form(alice, starts_at="2099-01-01T00:00", ends_at="2099-01-02T00:00")
        assert client.post(PAGE + path, form | {"person": alice.pk}).status_code == 404
    assert client.get(f"{PAGE}rotas/{theirs.pk}/").status_code == 404


def test_a_viewer_reads_and_changes_nothing(project: Project, bob: User, alice: User) -> None:
    """Who may only look sees who is on duty, and no form."""
    make_rota(project, alice)
    client = Client()
    client.force_login(bob)
    text = client.get(PAGE).content.decode()
    assert "Payments" in text and "Stand in" not in text and "Make a rota" not in text
    assert Membership.objects.get(user=bob).role == "viewer"


def test_queries_do_not_grow_with_rotas(client: Client, project: Project, alice: User, bob: User) -> None:
    """Ten rotas and teams are read with as many queries as one."""
    counted = []
    for n in range(2):
        for m in range(1 + 9 * n):
            make_rota(project, alice, bob, name=f"rota {n} {m}")
            Team.objects.create(project=project, name=f"team {n} {m}").members.add(alice)
            make_policy(project, step(whom("person", alice)), name=f"policy {n} {m}", is_default=False)
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        counted.append(len(queries))
    assert counted[0] == counted[1]
