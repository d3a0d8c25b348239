"""The worklist on the incident, and what is exported of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Effect, Incident, Project, User
from checkpoints.models import Checkpoint, Rollback
from dashboard.contexts import worklist
from tests.domain import rolling
from tests.pages import story

MINUTE = timedelta(minutes=1)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def paused(project: Project) -> story.Paused:
    return story.make_paused(project, timezone.now())


def card(client: Client, paused: story.Paused) -> str:
    return client.get(f"/p/main/incidents/{paused.incident.pk}/").content.decode()


def exported(client: Client, paused: story.Paused) -> list[dict[str, str]]:
    answer = client.get(f"/p/main/incidents/{paused.incident.pk}/effects.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8" and answer["Cache-Control"] == "no-store"
    assert answer["Content-Disposition"].startswith('attachment; filename="effects-incident-')
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_each_has_its_ticks(signed_in: Client, client: Client, bob: User, paused: story.Paused) -> None:
    """What is done may be accepted or done again, what may have happened is asked about; a viewer looks."""
    Effect.objects.filter(key="refund:8843").update(state="unknown")
    page = card(signed_in, paused)
    assert "0 of 3 dealt with" in page
    for word, times in (("Accept it", 2), ("Do it again", 2), ("It happened", 1), ("It did not", 1)):
        assert page.count(f"<span>{word}</span>") == times, word
    assert f'name="back" value="/p/main/incidents/{paused.incident.pk}/"' in page
    client.force_login(bob)
    page = card(client, paused)
    assert "<span>Accept it</span>" not in page and "It waits for a responder to say." in page


def test_what_was_said_is_counted(signed_in: Client, paused: story.Paused) -> None:
    """By whom, when and why, in its row; how many are dealt with, at the top."""
    effect = Effect.objects.get(key="refund:8841")
    answer = f"/p/main/agents/refund-desk/effects/{effect.pk}/answer/"
    back = f"/p/main/incidents/{paused.incident.pk}/"
    done = signed_in.post(answer, {"answer": "accepted", "reason": "good enough", "back": back})
    assert done["Location"] == f"{back}#answers-{effect.pk}"
    page = card(signed_in, paused)
    assert "1 of 3 dealt with" in page and "Accepted as it is" in page and "alice@example.com" in page


def test_they_begin_with_the_last_known_good(signed_in: Client, project: Project) -> None:
    """Not with the first failure: what was done between the two is on the list, too."""
    desk = rolling.make_desk(project)
    Effect.objects.create(id="a", instance=desk.taker.instance(), run_id=desk.wire.run, name="before_it",
                          begun_at=timezone.now(), state="done")  # fmt: skip
    desk.take(1)
    Effect.objects.create(id="b", instance=desk.taker.instance(), run_id=desk.wire.run, name="after_it",
                          begun_at=timezone.now(), state="done")  # fmt: skip
    incident = desk.pauses()
    page = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "1 external action since last known good" in page
    assert "after_it" in page and "before_it" not in page


def test_no_cell_is_a_formula(signed_in: Client, paused: story.Paused) -> None:
    """Whatever an agent named is text in a spreadsheet, whoever opens it."""
    hostile = ["=cmd|'/c calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "\n=1", " =1", "|x", "%0A=1"]
    for n, name in enumerate(hostile):
        Effect.objects.create(id=f"h{n}", instance=paused.instance, run_id=Effect.objects.first().run_id,
                              name=name, key=name, begun_at=timezone.now(), state="done")  # fmt: skip
    rows = exported(signed_in, paused)
    assert len(rows) == 3 + len(hostile)
    for row in rows:
        assert not any(cell.lstrip()[:1] in tuple("=+-@|%") for cell in row.values() if cell), row
        assert not any(ord(letter) < 32 for cell in row.values() for letter in cell)
    assert rows[0]["key"] == "refund:8841" and rows[0]["state"] == "done" and rows[0]["at"].endswith("Z")


def test_values_are_masked_wherever_they_are_shown(signed_in: Client, paused: story.Paused) -> None:
    """What looks like a secret in an input stands on no page and in no export."""
    secret = "sk-live-0123456789abcdefghij"
    Effect.objects.update(input=json.dumps({"order": 1, "api_key": secret, "note": f"token={secret}"}))
    assert secret not in card(signed_in, paused)
    assert "order 1" in card(signed_in, paused)
    for form in ("csv", "json"):
        answer = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/effects.{form}")
        assert secret not in answer.content.decode()


def test_json_says_the_same(signed_in: Client, paused: story.Paused) -> None:
    """As the API shows them."""
    answer = signed_in.get(f"/p/main/incidents/{paused.incident.pk}/effects.json")
    found = answer.json()["effects"]
    assert [one["key"] for one in found] == ["refund:8841", "refund:8842", "refund:8843"]
    assert {one["state"] for one in found} == {"done"} and "attachment" in answer["Content-Disposition"]


def test_who_may_take_it_away(client: Client, bob: User, charlie: User, paused: story.Paused) -> None:
    """Members; nobody else learns that there is anything; only GET."""
    path = f"/p/main/incidents/{paused.incident.pk}/effects.csv"
    assert client.get(path).status_code == 302
    client.force_login(charlie)
    assert client.get(path).status_code == 404
    client.force_login(bob)
    assert client.get(path).status_code == 200 and client.post(path).status_code == 405


def test_a_rollback_s_is_its_own(signed_in: Client, alice: User, project: Project) -> None:
    """What lies between its checkpoint and itself."""
    desk = rolling.make_desk(project)
    target = desk.take(1)
    Effect.objects.create(id="b", instance=desk.taker.instance(), run_id=desk.wire.run, name="issue_refund",
                          begun_at=timezone.now(), state="done")  # fmt: skip
    (row,) = rolling.order(alice, project, target).rollbacks
    desk.applies(row)
    answer = signed_in.get(f"/p/main/rollbacks/{row.pk}/effects.json")
    assert [one["name"] for one in answer.json()["effects"]] == ["issue_refund"]
    Checkpoint.objects.all().delete()
    assert signed_in.get(f"/p/main/rollbacks/{row.pk}/effects.json").json()["effects"] == []
    assert signed_in.get(f"/p/main/rollbacks/{row.pk}/").status_code == 200
    assert Rollback.objects.count() == 1


def test_questions_do_not_grow_with_agents_or_effects(signed_in: Client, project: Project) -> None:
    """An incident about one agent or about six, with few effects or many."""
    now = timezone.now()
    paused, counts = story.make_paused(project, now), []
    for name, effects in (("", 1), ("desk", 30)):
        for n in range(5 if name else 1):
            worker = story.make_worker(project, f"{name}{n}", "paused", now) if name else paused.instance
            Incident.objects.get().instances.add(worker)
            for k in range(effects):
                Effect.objects.create(id=f"{name}{n}-{k}", instance=worker, run_id="0" * 32, name="refund",
                                      begun_at=now - 3 * MINUTE, state="done")  # fmt: skip
        with CaptureQueriesContext(connection) as found:
            exported(signed_in, paused)
        counts.append(len(found.captured_queries))
    assert counts[0] == counts[1], counts


@pytest.mark.parametrize(
    ("keys", "said"),
    [(("a", "b"), "its key is done"), (("a", ""), "has a key"), (("", ""), "may do them again")],
)
def test_it_says_what_holds_them(paused: story.Paused, keys: tuple[str, str], said: str) -> None:
    """A key holds what is done; without one nothing does."""
    effects = list(Effect.objects.order_by("begun_at")[:2])
    for effect, key in zip(effects, keys, strict=True):
        effect.key = key
    assert said in worklist.of(effects).holds
