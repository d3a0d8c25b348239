"""The timeline on its page: what is shown, what is kept still, and what hostile text cannot do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Entry, Kind, Minute, Project, User
from agents.queries import timeline
from tests.pages.rows import NOON, entry, make_agent, make_run, stored, stream

PAGE = "/p/main/agents/refund-desk/"
UNSEEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
OLDER = re.compile(r'href="([^"]*)"[^>]*rel="next"')
REGION = {"HX-Request": "true", "HX-Target": "timeline"}
LIST = {"HX-Request": "true", "HX-Target": "timeline-list"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7|add:7 }}{% now 'Y' %}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "a\u200bb\u2066c",
    "\ufeff\u00ad",
    "x" * 500,
    "𓀀" * 100,
    "a\u0301" * 50,
    "' OR 1=1 --",
]
BODIES = [
    "{}",
    "[]",
    "null",
    "17",
    '"text"',
    "",
    "not json",
    '{"took_ms": "soon"}',
    '{"took_ms": -1}',
    '{"took_ms": true}',
    '{"took_ms": 1e308}',
    '{"consecutive": "3"}',
    '{"error": "flat"}',
    '{"error": {"type": 3, "message": [1]}}',
    '{"input": {"head": 3, "size": "x"}}',
    '{"input": ' + "[" * 60 + "]" * 60 + "}",
    '{"because": 7, "key": [1]}',
    '{"expected": {"a": 1}, "actual": [null], "why": 0, "attempts": 2.5}',
]


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


@pytest.fixture
def client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def shown(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(PAGE + query, headers=headers)
    assert response.status_code == 200
    html: str = response.content.decode()
    return html


def ids(html: str) -> list[str]:
    return re.findall(r'id="e-([0-9a-f-]+)"', html)


def test_every_line_once_over_all_pages(agent: Agent, client: Client) -> None:
    """Following "Older" to the end shows every action once, a failure in its action's place."""
    stream(agent, 237)
    html = shown(client)
    seen = ids(html)
    while older := OLDER.search(html):
        html = shown(client, older[1].replace("&amp;", "&"))
        seen += ids(html)
    hidden = {e.id for e in Entry.objects.filter(kind=Kind.ACTION, outcome="failed")}
    assert len(seen) == len(set(seen)) == 237
    assert set(seen) == set(Entry.objects.values_list("id", flat=True)) - hidden


def test_an_address_opens_an_entry(agent: Agent, client: Client) -> None:
    """The open entry is in the address: whoever gets it sees input, expected, actual and the id to copy."""
    run = uuid4()
    stored(
        agent,
        run=run,
        seq=1,
        body={"input": {"order_id": 8852}, "expected": "the same amount", "took_ms": 1300},
    )
    failure = stored(
        agent, run=run, seq=2, kind=Kind.FAILURE, outcome="verification",
        body={"expected": "400.00 €", "actual": "40.00 €", "consecutive": 3},
    )  # fmt: skip
    html = shown(client, f"?entry={failure.id}")
    for words in (
        "order_id",
        "8852",
        "400.00 €",
        "40.00 €",
        "the same amount",
        "3 in a row",
        "1.3 s",
        failure.id,
    ):
        assert words in html
    assert html.count('aria-expanded="true"') == 1


def test_an_old_entry_is_found_by_its_address(agent: Agent, client: Client) -> None:
    """An address opens its entry however far back it stands, and whatever came since waits above."""
    old = stored(agent, at=NOON - timedelta(days=40))
    stream(agent, 120)
    html = shown(client, f"?entry={old.id}")
    assert ids(html)[0] == old.id and "new entr" in html


def test_another_agents_entry_opens_nothing(agent: Agent, client: Client, project: Project) -> None:
    """The id of an entry of another agent shows the newest page and nothing of the entry."""
    theirs = stored(make_agent(project, "other"), title="not yours")
    assert "not yours" not in shown(client, f"?entry={theirs.id}")


def test_a_held_page_counts_what_waits(agent: Agent, client: Client) -> None:
    """While someone reads, the same line stays first, and three new entries wait behind a count."""
    stream(agent, 20)
    top = re.search(r'data-first="([^"]+)"', shown(client))
    assert top
    first = ids(shown(client))[0]
    for n in range(3):
        stored(agent, at=NOON + timedelta(seconds=n))
    held = shown(client, f"?upto={top[1]}", **REGION)
    assert "3 new entries" in held and ids(held)[0] == first
    assert "new entries" not in shown(client)


def test_nothing_new_is_not_drawn_again(agent: Agent, client: Client) -> None:
    """A refetch that knows the newest state is answered 204."""
    have = re.search(r"have=([^\"]+)\"", shown(client))
    assert have
    assert client.get(PAGE + f"?have={have[1]}", headers=REGION).status_code == 204
    Agent.objects.update(version=1)
    assert client.get(PAGE + f"?have={have[1]}", headers=REGION).status_code == 200


def test_news_are_the_list_alone(agent: Agent, client: Client) -> None:
    """What every entry asks for again is the list of lines, without strip and filters, newest first."""
    stream(agent, 20)
    shown(client, **LIST)
    new = stored(agent, at=NOON + timedelta(seconds=1))
    Agent.objects.update(version=1)
    html = shown(client, **LIST)
    assert html.startswith('<div id="timeline-list"') and ids(html)[0] == new.id
    assert 'id="strip"' not in html and 'id="filters"' not in html


def test_a_line_that_changes_is_drawn_anew(agent: Agent, client: Client) -> None:
    """An entry that was read before shows what it says now."""
    one = stored(agent, title="vanished while it waited")
    assert "vanished while it waited" in shown(client, **LIST)
    Entry.objects.filter(id=one.id).update(title="ended after all")
    Agent.objects.update(version=1)
    html = shown(client, **LIST)
    assert "ended after all" in html and "vanished while it waited" not in html


def test_quiet_stretches_are_folded(agent: Agent, client: Client) -> None:
    """Between two entries more than ten minutes apart stands how long nothing happened."""
    stored(agent, at=NOON - timedelta(minutes=11))
    stored(agent, at=NOON)
    assert "Idle for 11 min, 11:49 to 12:00" in shown(client)
    assert "Idle for" not in shown(client, "?kind=action")


def successes(agent: Agent, n: int, **more: Any) -> list[str]:
    """What the SDK sends of what went well: titles that repeat the name; the newest first."""
    run, body = uuid4(), {"input": {"order": 8852}, "output": [{"total": "400.00 €"}]}
    same = {"run": run, "title": "issue_refund order 8852", "body": body} | more
    rows = [stored(agent, seq=k + 1, at=NOON + timedelta(seconds=k), **same) for k in range(n)]
    return [row.id for row in rows[::-1]]


def test_a_row_says_what_its_title_does_not(agent: Agent, client: Client) -> None:
    """A title that repeats the name gives way to input and output; no name stands there twice."""
    successes(agent, 1)
    stored(agent, at=NOON, title="issue_refund: ok", verdict="", body={"input": ["<b>a</b>", 3]})
    stored(agent, at=NOON, title="issue_refund: not as expected: 4 €", kind=Kind.FAILURE, outcome="error")
    stored(agent, at=NOON, title="issue_refund order 7: E: x", outcome="failed", verdict="")
    stored(agent, at=NOON, title="issue_refunds were few", body='{"input": 1}')
    stored(agent, at=NOON, title="issue_refund", body="[]")
    page = shown(client)
    for said in (
        "order 7: E: x",
        "issue_refunds were few",
        "order 8852 → total 400.00 €",
        "&lt;b&gt;a&lt;/b&gt;, 3",
        "Not as expected: 4 €",
    ):
        assert f'<span class="what"><bdi>{said}</bdi>' in page, said
    assert '<span class="what"><bdi>issue_refund</bdi>' not in page


def test_successes_in_a_row_are_one_line(agent: Agent, client: Client) -> None:
    """The newest stay, the rest fold and open; an effect, an unknown verdict or a filter unfolds them."""
    folded = successes(agent, 19)
    page = shown(client)
    assert "14 successes, 12:00:00 to 12:00:13: 14 issue_refund" in page and ids(page) == folded
    assert '<details class="entry-fold"' in page and page.count('<details class="entry-fold"') == 1
    opened = shown(client, f"?entry={folded[9]}")
    assert re.search(r'<details class="entry-fold"[^>]* open>', opened)
    assert "successes" not in shown(client, "?kind=action")
    Entry.objects.filter(id=folded[10]).update(verdict="unknown")
    Entry.objects.filter(id=folded[14]).update(body='{"external": true}')
    assert re.findall(r"(\d+) successes", shown(client)) == ["5"]


def test_a_long_action_is_no_quiet_stretch(agent: Agent, client: Client) -> None:
    """An action that took half an hour was at work, not idle."""
    stored(agent, at=NOON - timedelta(minutes=31))
    stored(agent, at=NOON, body={"took_ms": 30 * 60_000})
    assert "Idle for" not in shown(client)


def test_the_strip_counts_the_minutes(agent: Agent, client: Client) -> None:
    """The density strip says how much succeeded and failed, and each part of it is an address."""
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=5)
    Minute.objects.create(agent=agent, at=minute, ok=7, failed=2)
    stored(agent, at=minute)
    html = shown(client)
    assert "7 succeeded, 2 failed in these 6 h" in html and html.count('class="part"') >= 6


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(agent: Agent, client: Client, text: str) -> None:
    """Markup, templates and turned-around text in any field are shown as what they are."""
    body = {"input": {text: text}, "output": text, "expected": text, "why": text, "key": text,
            "error": {"type": text, "message": text, "trace": text}}  # fmt: skip
    one = stored(agent, name=text[:200], title=text, outcome=text[:40], verdict=text[:10], body=body)
    Agent.objects.update(about=text, owner=text[:200], runbook=text, while_paused=text)
    for query in ("", f"?entry={one.id}", f"?tool={text[:9]}", f"?q={text[:9]}"):
        main = shown(client, query).split("<main")[1].split("</main>")[0]
        assert "<script>alert" not in main and "<img" not in main
        assert not UNSEEN.search(re.sub(r"<[^>]*>", "", main))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("kind", [Kind.ACTION, Kind.FAILURE, Kind.SIGNAL, Kind.DECISION])
def test_any_body_is_shown(agent: Agent, client: Client, body: str, kind: str) -> None:
    """Whatever stands in a body, the page opens it; it never fails."""
    one = stored(agent, kind=kind, body=body)
    assert "entry-body" in shown(client, f"?entry={one.id}")


@pytest.mark.parametrize(
    "query",
    [
        "?kind=nonsense",
        "?run=x",
        "?group=99999999999999999999",
        "?from=yesterday",
        "?from=0001-01-01T00:00%2B14:00",
        "?to=9999-12-31T23:59-14:00",
        "?before=1_x",
        "?after=99999999999999999_z",
        "?upto=_",
        "?entry=%00",
        "?q=%00",
        "?tool=%ed%a0%80",
        "?span=9y",
        "?from=2026-01-02&to=2026-01-01",
        "?entry=" + "f" * 32 + "-99999999999999999",
        "?q=" + "x" * 5000,
        "?outcome=%27",
        "?have=",
        "?before=99999999999999999_z",
        "?group=-1",
        "?group=%C2%B2",
    ],
)
def test_any_address_is_answered(agent: Agent, client: Client, query: str) -> None:
    """An address that was cut, typed or made up shows a page."""
    stream(agent, 3)
    shown(client, query)


def test_a_page_costs_the_same_whatever_is_on_it(agent: Agent, client: Client) -> None:
    """The number of queries does not grow with the entries, the failures or the runs."""
    stored(agent, kind=Kind.FAILURE, seq=2)
    make_run(agent)
    shown(client)
    with CaptureQueriesContext(connection) as few:
        shown(client)
    stream(agent, 400)
    for _ in range(5):
        make_run(agent)
        stored(agent, kind=Kind.FAILURE, seq=2)
    with CaptureQueriesContext(connection) as many:
        shown(client)
    assert len(many) == len(few)


def test_a_cut_value_says_how_long_it_was(agent: Agent, client: Client) -> None:
    """A value that the agent shortened is shown with its size."""
    one = stored(agent, body={"output": {"head": "abc", "size": 123456, "sha256": "x"}})
    assert "The first part of 123,456 bytes." in shown(client, f"?entry={one.id}")


def test_filters_stand_in_the_address(agent: Agent, client: Client) -> None:
    """A filtered page keeps its filter in every link that leads on."""
    stream(agent, 600)
    html = shown(client, "?kind=failure&q=Refund")
    assert len(ids(html)) == 50
    older = OLDER.search(html)
    assert older and "kind=failure" in older[1] and "q=Refund" in older[1]


def test_a_day_is_named(agent: Agent, client: Client) -> None:
    """Entries of another day stand under its name."""
    Entry.objects.bulk_create([entry(agent, at=NOON - timedelta(days=30)), entry(agent, at=timezone.now())])
    assert "Friday, 23 October" in shown(client)


def test_key_in_the_page_is_the_newest(agent: Agent, client: Client) -> None:
    """The page says which line is its first, for those who hold it."""
    stream(agent, 5)
    newest = timeline.newest(agent.pk, timeline.Chosen()).entries[0]
    assert f'data-first="{timeline.key_of(newest)}"' in shown(client)


def test_a_title_that_is_the_name_stands_once(agent: Agent, client: Client) -> None:
    """A row whose title says nothing more than its name says it once."""
    stored(agent, kind=Kind.SIGNAL, name="refused to start", title="refused to start", outcome="refused")
    stored(agent, kind=Kind.RUN, name="started", title="started", outcome="")
    html = shown(client)
    for name in ("refused to start", "started"):
        assert f'<code class="name"><bdi>{name}</bdi>' in html
        assert f'<span class="what"><bdi>{name}</bdi>' not in html
