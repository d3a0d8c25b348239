"""The audit list: complete, filtered by its address, and for members only."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import AuditEntry, Project, User
from agents.queries import audit as queries
from agents.queries.audit import Asked
from agents.services import audit

PAGE = "/p/main/audit/"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLDER = re.compile(r'href="([^"]*)" rel="next"')


@pytest.fixture
def client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def act(project: Project, n: int = 0, **fields: str) -> AuditEntry:
    values = {
        "actor": "alice@example.com",
        "verb": "pause",
        "object": f"agent a-{n}",
        "reason": "looks wrong",
    }
    now = NOON + timedelta(minutes=n)
    return audit.record(project_id=project.pk, saw={"version": n}, now=now, **(values | fields))


def rows(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="act-(\d+)"', html)]


def shown(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    html: str = response.content.decode()
    return html


def test_every_act_once(project: Project, client: Client) -> None:
    """Following "Older" shows each act once, newest first, whatever is done meanwhile."""
    expected = [act(project, n).pk for n in range(120)][::-1]
    html = shown(client)
    seen = rows(html)
    while older := OLDER.search(html):
        act(project, 999)
        html = shown(client, older[1].replace("&amp;", "&"))
        seen += rows(html)
    assert seen == expected


def test_the_way_back(project: Project, client: Client) -> None:
    """From the second page "Newer" leads to the first."""
    for n in range(80):
        act(project, n)
    second = shown(client, (OLDER.search(shown(client)) or pytest.fail())[1].replace("&amp;", "&"))
    newer = re.search(r'href="([^"]*)" rel="prev"', second)
    assert newer and rows(shown(client, newer[1].replace("&amp;", "&"))) == rows(shown(client))


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("?actor=bob", 1), ("?verb=resume", 1), ("?object=a-7", 1), ("?from=2026-11-22T12:05", 5),
        ("?to=2026-11-22T12:05", 5), ("?actor=nobody", 0), ("?actor=%00", 10), ("?from=x&to=y", 10),
        ("?before=x", 10), ("?before=99999999999999999999", 10), ("?after=-1", 10),
    ],
)  # fmt: skip
def test_filters(project: Project, client: Client, query: str, n: int) -> None:
    """Each filter finds what it names; what cannot be read is left out."""
    for k in range(8):
        act(project, k)
    act(project, 8, actor="bob@example.com")
    act(project, 9, verb="resume")
    assert len(rows(shown(client, query))) == n


FILL = """
INSERT INTO agents_auditentry (project_id, at, actor, verb, object, reason, saw, previous, digest)
SELECT %s, now(), 'user' || n || '@example.com', 'pause', 'incident ' || n, '', '{}', '', ''
FROM generate_series(1, 20000) n
"""


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(Asked(actor="nobody"), "audit_by_actor"), (Asked(object="refund-desk"), "audit_by_object")],
)
def test_a_rare_act_is_found_by_an_index(project: Project, wanted: Asked, index: str) -> None:
    """However long the log is, a filter reads what it names and not all of it."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [project.pk])
        cursor.execute("ANALYZE agents_auditentry")
    rows = queries._asked(AuditEntry.objects.filter(project_id=project.pk), wanted)
    plan = rows.order_by("-pk")[:51].explain()
    assert index in plan and "Seq Scan" not in plan and "pkey" not in plan


def test_only_this_projects_acts(project: Project, client: Client, charlie: User) -> None:
    """Acts of another project, and those of none, are not in the list."""
    act(Project.objects.get(name="elsewhere"), 1)
    audit.record(project_id=None, actor="x", verb="sign in", object="x", reason="", saw={}, now=NOON)
    assert rows(shown(client)) == []


def test_who_may_see_it(project: Project, bob: User, charlie: User) -> None:
    """Every member may read the log; for others it is not there."""
    for user, status in ((bob, 200), (charlie, 404)):
        client = Client()
        client.force_login(user)
        assert client.get(PAGE).status_code == status
    assert Client().get(PAGE).status_code == 302


def test_hostile_words_stay_words(project: Project, client: Client) -> None:
    """Markup and turned-around text in an act are shown as what they are."""
    text = '<script>alert(1)</script>\u202e"'
    act(project, actor=text, verb=text, object=text, reason=text)
    html = shown(client)
    assert "<script>alert" not in html and "U+202E" in html


def test_constant_number_of_queries(project: Project, client: Client) -> None:
    """A page of fifty acts costs as many queries as a page of one."""
    act(project)
    shown(client)
    with CaptureQueriesContext(connection) as few:
        shown(client)
    for n in range(60):
        act(project, n)
    with CaptureQueriesContext(connection) as many:
        shown(client)
    assert len(many) == len(few)


def test_it_is_taken_away_as_json_lines_that_can_be_walked_again(client: Client, project: Project) -> None:
    """One object an act, the newest first, each with the digest before it; filters hold."""
    for n in range(3):
        act(project, n, verb="pause" if n % 2 else "resume")
    lines = [json.loads(line) for line in client.get("/p/main/audit.jsonl").content.splitlines()]
    assert [line["object"] for line in lines] == ["agent a-2", "agent a-1", "agent a-0"]
    assert [line["previous"] for line in lines[:2]] == [line["digest"] for line in lines[1:]]
    only = client.get("/p/main/audit.jsonl?verb=pause").content.splitlines()
    assert [json.loads(line)["object"] for line in only] == ["agent a-1"]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1", "|calc", "%x"])
def test_no_cell_of_its_csv_is_a_formula(text: str, client: Client, project: Project) -> None:
    """What somebody typed as a reason is text in every spreadsheet."""
    act(project, reason=text)
    answer = client.get("/p/main/audit.csv")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode()))
    assert row["reason"].startswith("'") and answer["Content-Disposition"].startswith("attachment")
