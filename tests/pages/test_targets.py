"""Alert targets: typed forms, secrets shown once, tests with their result, a banner when nobody is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import access
from agents.models import AlertTarget, Attempt, AuditEntry, Outbox, Project, User
from agents.services import sending, targets
from tests.domain import receivers

PAGE = "/p/main/alerts/"
MAIL = {"label": "payments on-call", "address": "oncall@example.com"}
HOOK = {"label": "pager", "address": "https://pager.example.com/hooks/T01/abcdef"}
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


@pytest.fixture
def client(alice: User) -> Client:
    return signed_in(alice)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def target(user: User, project: Project, kind: str = "email") -> AlertTarget:
    actor = access.person(user, project) or pytest.fail()
    form = MAIL if kind == "email" else HOOK
    return targets.add(actor=actor, kind=kind, now=timezone.now(), **form).target


def page(client: Client) -> str:
    html: str = client.get(PAGE).content.decode()
    return html


@pytest.fixture
def mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "127.0.0.1"


def test_without_a_mail_server_an_address_is_not_on(
    client: Client, alice: User, project: Project, settings: Any
) -> None:
    """The row says in red what is missing and what to set; with the only target so, nobody would be told."""
    target(alice, project)
    said = page(client)
    assert "SICKBAY_SMTP_URL" in said and "<span>on</span>" not in said
    assert "e-mail is the only target" in said
    target(alice, project, "webhook")
    assert "Nobody would be told" not in page(client) and "SICKBAY_SMTP_URL" in page(client)
    settings.EMAIL_HOST = "127.0.0.1"
    assert "SICKBAY_SMTP_URL" not in page(client) and page(client).count("<span>on</span>") == 2


@pytest.mark.usefixtures("mail_server")
def test_nobody_told_is_said(client: Client, alice: User, project: Project) -> None:
    """Without a target, or with every one off, a banner says that nobody would be told."""
    assert "there is no target" in page(client)
    one = target(alice, project)
    assert "Nobody would be told" not in page(client)
    client.post(f"{PAGE}{one.pk}/turn/", {"to": "off"})
    assert "every target is off" in page(client)
    client.post(f"{PAGE}{one.pk}/turn/", {"to": "on"})
    assert "Nobody would be told" not in page(client)


def test_a_secret_is_shown_once(client: Client) -> None:
    """The answer to the form has the webhook's secret; no later page has it."""
    response = client.post(PAGE + "add/webhook/", HOOK)
    secret = SECRET.search(response.content.decode())
    assert secret and "no-store" in response["Cache-Control"]
    assert targets.decrypt(AlertTarget.objects.get()) == secret[0]
    assert not SECRET.search(page(client))


def test_a_new_address_gets_a_new_secret(client: Client, alice: User, project: Project) -> None:
    """Changing where a webhook goes ends its secret and shows the new one; another label keeps it."""
    one = target(alice, project, "webhook")
    before = targets.decrypt(one)
    client.post(f"{PAGE}{one.pk}/change/", HOOK | {"label": "other"})
    assert targets.decrypt(AlertTarget.objects.get()) == before
    answer = client.post(f"{PAGE}{one.pk}/change/", HOOK | {"address": "https://elsewhere.example/x"})
    secret = SECRET.search(answer.content.decode())
    assert secret and secret[0] == targets.decrypt(AlertTarget.objects.get()) != before


@pytest.mark.parametrize("kind", ["email", "webhook"])
@pytest.mark.parametrize(
    "address",
    [
        "",
        "not an address",
        "mailto://x",
        "https://user:pw@host/",
        "file:///etc/passwd",
        "json://x",
        "x" * 600,
        "https://example.com/" + "x" * 600,
        "\0",
    ],
)
def test_what_is_no_address_is_refused(client: Client, kind: str, address: str) -> None:
    """A wrong address is refused with a sentence beside what was typed; nothing is kept."""
    response = client.post(f"{PAGE}add/{kind}/", {"label": "kept words", "address": address})
    html = response.content.decode()
    assert response.status_code == 422 and "kept words" in html and 'class="wrong"' in html
    assert not AlertTarget.objects.exists()


def test_the_same_address_once(client: Client) -> None:
    """An address that is a target already is not added again."""
    client.post(PAGE + "add/email/", MAIL)
    assert client.post(PAGE + "add/email/", MAIL).status_code == 422
    assert AlertTarget.objects.count() == 1


def test_a_test_is_ordered_and_its_result_shown(client: Client, alice: User, project: Project) -> None:
    """A test writes a message like any other; the page shows what became of it."""
    one = target(alice, project)
    client.post(f"{PAGE}{one.pk}/test/")
    row = Outbox.objects.get(about=Outbox.About.TEST)
    assert "Test on its way" in re.sub(r"<[^>]*>", "", page(client))
    Outbox.objects.filter(pk=row.pk).update(state=Outbox.State.GIVEN_UP)
    Attempt.objects.create(
        outbox=row,
        outcome=Attempt.Outcome.FAILED,
        why="the mail server did not take it",
        ended_at=timezone.now(),
    )
    assert "not sent: the mail server did not take it" in re.sub(r"<[^>]*>", "", page(client))


def test_a_test_by_htmx_answers_the_region(client: Client, alice: User, project: Project) -> None:
    """With scripts the answer to a test is the list alone, with the message on its way."""
    one = target(alice, project)
    html = client.post(f"{PAGE}{one.pk}/test/", headers={"HX-Request": "true"}).content.decode()
    assert html.lstrip().startswith('<div id="targets-region"') and "on its way" in html


def test_removed_is_gone(client: Client, alice: User, project: Project) -> None:
    """A removed target is told nothing and stands in the log."""
    one = target(alice, project)
    client.post(f"{PAGE}{one.pk}/remove/")
    assert not AlertTarget.objects.exists() and AuditEntry.objects.filter(verb="remove target").exists()


def verbs(pk: int) -> list[str]:
    changes = [f"{PAGE}{pk}/{verb}/" for verb in ("change", "turn", "remove", "test")]
    return [PAGE + "add/email/", PAGE + "add/webhook/", *changes]


def test_who_may_change_them(alice: User, bob: User, charlie: User, project: Project) -> None:
    """A viewer is refused, an outsider finds nothing, also from a project of their own."""
    one = target(alice, project)
    for path in verbs(one.pk):
        assert signed_in(bob).post(path, MAIL).status_code == 403
        assert signed_in(charlie).post(path, MAIL).status_code == 404
        assert Client().post(path, MAIL).status_code == 302
        if "/add/" not in path:
            elsewhere = path.replace("/main/", "/elsewhere/")
            assert signed_in(charlie).post(elsewhere, MAIL).status_code == 404
    assert AlertTarget.objects.get().enabled and not Outbox.objects.exists()


def test_reading_changes_nothing(client: Client, alice: User, project: Project) -> None:
    """By GET no verb acts; without a CSRF token a POST is refused."""
    one = target(alice, project)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    for path in verbs(one.pk):
        assert client.get(path).status_code == 405
        assert strict.post(path, MAIL).status_code == 403
    assert AlertTarget.objects.count() == 1


def test_a_viewer_sees_an_outline(alice: User, bob: User, project: Project) -> None:
    """Who may not change targets sees which there are, not the addresses: a path is often a secret."""
    target(alice, project)
    target(alice, project, "webhook")
    html = page(signed_in(bob))
    assert "pager.example.com/…" in html and "abcdef" not in html and "oncall@example.com" not in html


def test_a_webhook_without_a_name_has_its_host(client: Client, bob: User, project: Project) -> None:
    """Everybody reads the name, on the page and in the log: nothing of the path stands in it."""
    client.post(PAGE + "add/webhook/", HOOK | {"label": ""})
    assert AlertTarget.objects.get().label == "pager.example.com"
    assert "abcdef" not in page(signed_in(bob))
    assert "abcdef" not in AuditEntry.objects.get(verb="add target").object


@pytest.mark.parametrize("way", ["add/webhook/", "add/slack/", "add/ntfy/", "{pk}/change/"])
def test_a_password_is_never_shown_back(
    client: Client, alice: User, project: Project, way: str, caplog: Any
) -> None:
    """An address with one is refused; it stands neither in the answer, nor in a row, nor in a log."""
    one = target(alice, project, "webhook")
    secret = "https://me:hunter2hunter2@hooks.slack.com/services/x"
    typed = {"label": "x", "address": secret, "url": secret, "topic": "x", "server": secret}
    with caplog.at_level("DEBUG"):
        answer = client.post(PAGE + way.format(pk=one.pk), typed)
    assert answer.status_code == 422 and "hunter2" not in answer.content.decode()
    assert "hunter2" not in caplog.text
    kept = [*AlertTarget.objects.values(), *AuditEntry.objects.values(), *Outbox.objects.values()]
    assert "hunter2" not in str(kept)


def test_hostile_labels_stay_text(client: Client, alice: User, project: Project) -> None:
    """Markup in a label or in a reason is shown as what it is."""
    one = target(alice, project)
    AlertTarget.objects.update(label='<img src=x onerror="x">\u202e')
    row = Outbox.objects.create(target=one, about="opened", key="k", state="given_up")
    Attempt.objects.create(outbox=row, outcome="failed", why="<script>alert(1)</script>")
    html = page(client)
    assert "<img" not in html and "<script>alert" not in html and "U+202E" in html


def test_constant_number_of_queries(client: Client, alice: User, project: Project) -> None:
    """More targets and messages cost no more queries."""
    one = target(alice, project)
    client.post(f"{PAGE}{one.pk}/test/")
    page(client)
    with CaptureQueriesContext(connection) as few:
        page(client)
    for n in range(5):
        AlertTarget.objects.create(project=project, kind="email", label=f"{n}", address=f"{n}@example.com")
    for each in AlertTarget.objects.all():
        client.post(f"{PAGE}{each.pk}/test/")
    with CaptureQueriesContext(connection) as many:
        page(client)
    assert len(many) == len(few)


def fails(one: AlertTarget, about: str) -> None:
    """A message that could not be handed over: it would lead into our own network."""
    AlertTarget.objects.filter(pk=one.pk).update(address="http://127.0.0.1:9/")
    Outbox.objects.create(target=one, about=about, key=about, due_at=timezone.now())
    assert sending.send_due() == 0


def test_a_target_that_takes_nothing_says_so_in_red(
    client: Client, alice: User, project: Project, settings: Any
) -> None:
    """It does not read *on*, every page has a banner; the first message that it takes makes it good again."""
    one = target(alice, project, "webhook")
    fails(one, "joined")
    html = page(client)
    assert f'id="failed-{one.pk}"' in html and "it takes no messages since" in html
    assert "<span>on</span>" not in html and "Took no message yet" in html
    assert 'id="channel-broken"' in client.get("/p/main/").content.decode()
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        AlertTarget.objects.update(address=hook.url)
        client.post(f"{PAGE}{one.pk}/test/")
        assert sending.send_due() == 1
    html = page(client)
    assert "takes no messages" not in html and "<span>on</span>" in html and "Last took a message" in html
    assert 'id="channel-broken"' not in client.get("/p/main/").content.decode()


def test_a_test_that_fails_raises_no_alarm(client: Client, alice: User, project: Project) -> None:
    """Whoever ordered it reads its result beside the target; the banner is for what nobody looks at."""
    fails(target(alice, project), "test")
    assert 'id="channel-broken"' not in page(client)


@pytest.mark.parametrize(
    ("said", "kept"), [("9", 9), ("0", 0), ("", None), ("24", None), ("-1", None), ("x", None)]
)
def test_a_daily_test_is_switched_in_the_form(
    client: Client, said: str, kept: int | None, project: Project
) -> None:
    """An hour of the day, or none; the page says which, and a change may take it away."""
    client.post(PAGE + "add/email/", MAIL | {"daily": said})
    one = AlertTarget.objects.get()
    assert one.daily_hour == kept
    assert ("tested daily from" in page(client)) is (kept is not None)
    client.post(f"{PAGE}{one.pk}/change/", MAIL | {"daily": "7"})
    one.refresh_from_db()
    assert one.daily_hour == 7 and "tested daily from 07:00 UTC" in page(client)
