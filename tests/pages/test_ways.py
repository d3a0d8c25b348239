"""One's own ways to be told: only one's own, and missed aloud when there is none."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import AlertTarget, AuditEntry, Outbox, Project, Role, User
from tests.conftest import member
from tests.domain import cast
from tests.domain.test_escalation import make_policy, make_rota, step, whom

pytestmark = pytest.mark.django_db
PAGE = "/p/main/ways/"
TOPIC = {"topic": "bobs-phone-x7", "server": "https://ntfy.sh", "label": "my phone"}


@pytest.fixture
def bobs(bob: User) -> Client:
    client = Client()
    client.force_login(bob)
    return client


def way_of(bob: User, **more: Any) -> AlertTarget:
    return AlertTarget.objects.get(person=bob, **more)


def test_a_viewer_adds_one_and_keeps_the_mail(bobs: Client, bob: User) -> None:
    """The address that he signs in with stays his first one; the secret is kept, not shown."""
    assert bobs.post(f"{PAGE}add/ntfy/", TOPIC).status_code == 302
    kinds = AlertTarget.objects.filter(person=bob).order_by("position").values_list("kind", flat=True)
    assert list(kinds) == ["email", "ntfy"]
    page = bobs.get(PAGE).content.decode()
    assert "my phone" in page and "bobs-phone-x7" not in page
    assert AuditEntry.objects.get(verb="add target").object.startswith("own way")


def test_it_is_put_first_tested_turned_off_and_removed(bobs: Client, bob: User) -> None:
    """Each by a button of its own; twice does no harm."""
    bobs.post(f"{PAGE}add/ntfy/", TOPIC)
    pk = way_of(bob, kind="ntfy").pk
    bobs.post(f"{PAGE}{pk}/first/")
    assert way_of(bob, position=0).pk == pk
    bobs.post(f"{PAGE}{pk}/test/")
    assert Outbox.objects.get(about="test").target_id == pk
    bobs.post(f"{PAGE}{pk}/turn/", {"to": "off"})
    assert not way_of(bob, pk=pk).enabled
    bobs.post(f"{PAGE}{pk}/remove/")
    assert not AlertTarget.objects.filter(pk=pk).exists()
    assert "was removed before" in bobs.post(f"{PAGE}{pk}/remove/", follow=True).content.decode()


@pytest.mark.parametrize("verb", ["test", "turn", "first", "remove"])
def test_nobody_touches_anothers(verb: str, bobs: Client, bob: User, project: Project) -> None:
    """Neither by one's own page nor, for an operator or administrator, by that of the channels."""
    bobs.post(f"{PAGE}add/ntfy/", TOPIC)
    way = way_of(bob, kind="ntfy")
    before = AlertTarget.objects.filter(pk=way.pk).values().get()
    ada = Client()
    ada.force_login(member(project, "ada@example.com", "Ada", Role.ADMIN))
    ada.post(f"{PAGE}{way.pk}/{verb}/")
    for other in ("test", "turn", "remove", "change"):
        said = {"label": "x", "address": "eve@example.com", **TOPIC}
        assert ada.post(f"/p/main/alerts/{way.pk}/{other}/", said).status_code == 404
    assert AlertTarget.objects.filter(pk=way.pk).values().get() == before
    assert not Outbox.objects.exists()


def test_an_administrator_sees_that_there_are_some(bobs: Client, bob: User, project: Project) -> None:
    """Of what kind, and nothing of where they lead; other roles see neither."""
    bobs.post(f"{PAGE}add/email/", {"address": "bob.private@example.org", "label": "private"})
    bobs.post(f"{PAGE}add/ntfy/", TOPIC)
    ada = Client()
    ada.force_login(member(project, "ada@example.com", "Ada", Role.ADMIN))
    page = ada.get("/p/main/people/").content.decode()
    assert "Email, Ntfy" in page and "bob.private" not in page and "x7" not in page
    assert "Ntfy" not in bobs.get("/p/main/people/").content.decode()
    for path in ("/p/main/alerts/", "/p/main/on-call/"):
        assert "bob.private" not in ada.get(path).content.decode()


@pytest.mark.parametrize(
    ("kind", "said", "why"),
    [
        ("email", {"address": "nobody"}, "one e-mail address"),
        ("ntfy", {"topic": "a b"}, "topic&#x27;s name"),
        ("ntfy", {"topic": "x", "server": "http://127.0.0.1/"}, "server&#x27;s address"),
        ("ntfy", {"topic": "x", "server": "https://127.0.0.1/"}, "private network"),
        ("slack", {"url": "https://evil.example/services/T/B/x"}, "hooks.slack.com"),
    ],
)
def test_what_cannot_be_is_refused(kind: str, said: dict[str, str], why: str, bobs: Client) -> None:
    """With the sentence that says what to write, under its own form; nothing is kept."""
    answer = bobs.post(f"{PAGE}add/{kind}/", said)
    assert answer.status_code == 422 and why in answer.content.decode()
    assert not AlertTarget.objects.exclude(kind="email").exists()


def test_the_same_twice_and_too_many(bobs: Client, bob: User) -> None:
    """Said, and nothing else is lost."""
    said = {"address": "bob@example.org"}
    bobs.post(f"{PAGE}add/email/", said)
    assert bobs.post(f"{PAGE}add/email/", said).status_code == 422
    for n in range(12):
        answer = bobs.post(f"{PAGE}add/email/", {"address": f"bob{n}@example.org"})
    assert answer.status_code == 422 and AlertTarget.objects.filter(person=bob).count() == 10


def test_webhooks_and_unknown_kinds_are_not_offered(bobs: Client) -> None:
    """A person is told; what programs hear is a channel of the project."""
    assert bobs.post(f"{PAGE}add/webhook/", {"address": "https://example.com/"}).status_code == 404
    assert bobs.post(f"{PAGE}add/pigeon/").status_code == 404


def test_it_is_said_where_nobody_can_be_reached(
    bobs: Client, bob: User, alice: User, project: Project, settings: Any
) -> None:
    """On the page of who is on call, in the policy, and to oneself; a way that is on ends it."""
    settings.EMAIL_HOST = ""
    make_rota(project, bob)
    make_policy(project, step(whom("person", bob)))
    operator = Client()
    operator.force_login(alice)
    page = operator.get("/p/main/on-call/").content.decode()
    assert "No way to reach <bdi>Bob</bdi>" in page and page.count("no way to reach <bdi>Bob</bdi>") == 1
    assert "No way reaches you" in bobs.get(PAGE).content.decode()
    bobs.post(f"{PAGE}add/ntfy/", TOPIC)
    assert "o way to reach" not in operator.get("/p/main/on-call/").content.decode()
    bobs.post(f"{PAGE}{way_of(bob, kind='ntfy').pk}/turn/", {"to": "off"})
    assert "No way to reach <bdi>Bob</bdi>" in operator.get("/p/main/on-call/").content.decode()


def test_his_turn_takes_his_first_way(bobs: Client, bob: User, project: Project) -> None:
    """The escalation writes to the way that he put first, and keeps the others for when it fails."""
    make_policy(project, step(whom("person", bob)))
    bobs.post(f"{PAGE}add/ntfy/", TOPIC)
    phone, mail = way_of(bob, kind="ntfy").pk, way_of(bob, kind="email").pk
    bobs.post(f"{PAGE}{phone}/first/")
    cast.spends_its_budget(cast.worker(project, "refund-desk"))
    message = Outbox.objects.get(about="opened")
    assert message.target_id == phone and message.then[0] == mail


def test_queries_do_not_grow_with_ways(bobs: Client) -> None:
    """Nine are read like two."""
    counted = []
    for more in (1, 7):
        for n in range(more):
            bobs.post(f"{PAGE}add/email/", {"address": f"bob{more}{n}@example.org"})
        bobs.get(PAGE)
        with CaptureQueriesContext(connection) as queries:
            bobs.get(PAGE)
        counted.append(len(queries))
    assert counted[0] == counted[1]
