"""Alerts: written with the incident, handed over for real, and lost by no kill."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from agents import access
from agents.models import AlertTarget, Attempt, AuditEntry, Incident, Outbox, Project, User
from agents.services import alerts, cards, decisions, sending, targets
from tests.domain import cast, receivers
from tests.domain.cast import NOW, SECOND
from tests.domain.receivers import Hook, Mailbox

pytestmark = pytest.mark.django_db


class Clock:
    """Moves only when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    with receivers.mail_server() as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        yield mailbox


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        yield hook


@pytest.fixture
def operating(alice: User, project: Project) -> access.Actor:
    return cast.actor(alice, project)


def mail_target(actor: access.Actor) -> AlertTarget:
    return targets.add(
        actor=actor, kind="email", label="on call", address="oncall@example.com", now=NOW
    ).target


def webhook(actor: access.Actor, hook: Hook) -> targets.Kept:
    return targets.add(actor=actor, kind="webhook", label="pager", address=hook.url, now=NOW)


def test_an_incident_is_mailed_and_says_so(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock
) -> None:
    """Ten lines at most, one link, names and no values; then the incident knows when it was handed over."""
    mail_target(operating)
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance, failure=cast.fails(instance))
    assert alerts.told(cast.only_incident()).state == "waiting"
    assert sending.send_due(clock) == 1
    (message,) = mailbox.messages
    body = str(message.get_payload(decode=True), "utf-8") if message.is_multipart() is False else ""
    assert message["To"] == "oncall@example.com"
    assert message["Subject"] == "[Sickbay main] refund-desk is paused: issue_refund: ValueError"
    assert len(body.strip().splitlines()) <= 10
    assert body.count("http") == 1 and f"/p/main/incidents/{pause.incident_id}/" in body
    assert "refused" not in body
    assert alerts.told(cast.only_incident()).sentence == "e-mail handed over 03:12:04"
    assert cast.only_incident().version == 1


def test_without_targets_nobody_has_been_told(project: Project) -> None:
    """The incident says so, in red."""
    cast.spends_its_budget(cast.worker(project))
    told = alerts.told(cast.only_incident())
    assert (told.state, told.sentence) == ("nobody", "nobody has been told")


def test_the_outbox_is_written_with_the_incident(project: Project, operating: access.Actor) -> None:
    """An incident whose transaction fails leaves no alert; one that commits has a row for each target."""
    mail_target(operating)
    instance = cast.worker(project)

    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        cast.spends_its_budget(instance)
        assert Outbox.objects.count() == 1
        raise Undone
    assert Outbox.objects.count() == 0 == Incident.objects.count()


def test_a_webhook_is_signed_after_standard_webhooks(
    project: Project, operating: access.Actor, hook: Hook, clock: Clock
) -> None:
    """id.timestamp.body under the secret that was shown once; the payload links and names."""
    secret = webhook(operating, hook).secret
    pause = cast.spends_its_budget(cast.worker(project))
    assert sending.send_due(clock) == 1
    (post,) = hook.posts
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    key = base64.b64decode((secret or "").removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == expected
    assert post.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert post.path == "/hook?from=sickbay" and post.headers["host"] == f"127.0.0.1:{hook.port}"
    said = json.loads(post.body)
    assert (said["type"], said["data"]["incident"]) == ("incident.opened", pause.incident_id)
    assert said["data"]["url"].endswith(f"/p/main/incidents/{pause.incident_id}/")
    assert alerts.told(cast.only_incident()).sentence == "webhook handed over 03:12:04"


def test_a_kill_between_claiming_and_sending_loses_nothing(
    project: Project, operating: access.Actor, hook: Hook, clock: Clock
) -> None:
    """P13: the claim of the dead worker expires, the row is claimed again, under the same message id."""
    webhook(operating, hook)
    cast.spends_its_budget(cast.worker(project))
    assert sending.claim(NOW) is not None
    clock.now = NOW + 29 * SECOND
    assert sending.send_due(clock) == 0
    clock.now = NOW + 61 * SECOND
    assert sending.send_due(clock) == 1 and len(hook.posts) == 1
    outcomes = list(Attempt.objects.order_by("pk").values_list("outcome", "why"))
    assert outcomes == [("failed", "the worker died while it was sending"), ("sent", "")]


def test_what_fails_is_tried_again_later(
    project: Project, operating: access.Actor, hook: Hook, clock: Clock
) -> None:
    """Each try is a row with its reason; the id stays, so that the receiver can tell a repeat."""
    webhook(operating, hook)
    cast.spends_its_budget(cast.worker(project))
    hook.answer = lambda handler: handler.send_error(500)
    assert sending.send_due(clock) == 0
    assert alerts.told(cast.only_incident()).state == "nobody"
    assert sending.send_due(clock) == 0 and len(hook.posts) == 1
    hook.answer = receivers.taken
    clock.now = NOW + 6 * SECOND
    assert sending.send_due(clock) == 1
    assert len({post.headers["webhook-id"] for post in hook.posts}) == 1
    assert list(Attempt.objects.order_by("pk").values_list("outcome", flat=True)) == ["failed", "sent"]
    assert Attempt.objects.order_by("pk")[0].why == "it answered 500"


def test_it_is_given_up_after_many_tries(
    project: Project, operating: access.Actor, hook: Hook, clock: Clock
) -> None:
    """Back-off grows; in the end the row says so and the incident stays red."""
    webhook(operating, hook)
    cast.spends_its_budget(cast.worker(project))
    hook.answer = lambda handler: handler.send_error(410)
    for _ in range(20):
        sending.send_due(clock)
        clock.now += dt.timedelta(hours=2)
    assert Outbox.objects.get().state == "given_up" and len(hook.posts) == 13
    told = alerts.told(cast.only_incident())
    assert (told.state, told.summary) == ("nobody", "nobody has been told")
    assert "webhook failed: answered 410, tried 13 times, given up" in told.sentence


def test_one_broken_target_holds_up_no_other(
    project: Project, operating: access.Actor, hook: Hook, mailbox: Mailbox, clock: Clock
) -> None:
    """The mail goes out although the webhook refuses."""
    webhook(operating, hook)
    mail_target(operating)
    hook.answer = lambda handler: handler.send_error(503)
    cast.spends_its_budget(cast.worker(project))
    assert sending.send_due(clock) == 1 and len(mailbox.messages) == 1


def test_each_target_says_what_became_of_it(
    project: Project, operating: access.Actor, hook: Hook, mailbox: Mailbox, clock: Clock
) -> None:
    """Whom the incident reached and when, and beside it what failed, how often, and when it is tried next."""
    webhook(operating, hook)
    mail_target(operating)
    hook.answer = lambda handler: handler.send_error(503)
    cast.spends_its_budget(cast.worker(project))
    sending.send_due(clock)
    clock.now += 6 * SECOND
    sending.send_due(clock)
    told = alerts.told(cast.only_incident())
    assert (told.state, [one.state for one in told.handed]) == ("told", ["failed", "sent"])
    assert told.sentence == (
        "webhook failed: answered 503, tried 2 times, next try 03:12:25; e-mail handed over 03:12:04"
    )


def test_what_became_of_alerts_costs_the_same_for_any_number(
    project: Project, operating: access.Actor, django_assert_num_queries: Any
) -> None:
    """Two queries, and targets of one kind are told apart by their names."""
    for _ in range(5):
        mail_target(operating)
    targets.add(actor=operating, kind="email", label="", address="b@example.com", now=NOW)
    cast.spends_its_budget(cast.worker(project))
    incident = cast.only_incident()
    with django_assert_num_queries(2):
        told = alerts.told(incident)
    assert [str(one) for one in told.handed][-2:] == [
        "e-mail on call is on its way", "e-mail b@example.com is on its way",
    ]  # fmt: skip


def test_a_mail_server_that_refuses_is_a_reason(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock
) -> None:
    """Its words are not kept, ours are."""
    mail_target(operating)
    mailbox.refuse = "554 secret words"
    cast.spends_its_budget(cast.worker(project))
    assert sending.send_due(clock) == 0
    assert Attempt.objects.get().why == "the mail server did not take it (SMTPDataError)"


def test_without_a_mail_server_it_says_what_to_set(
    project: Project, operating: access.Actor, settings: Any, clock: Clock
) -> None:
    """The attempt names the setting."""
    settings.EMAIL_HOST = ""
    mail_target(operating)
    cast.spends_its_budget(cast.worker(project))
    sending.send_due(clock)
    assert "SICKBAY_SMTP_URL" in Attempt.objects.get().why


def test_a_test_goes_the_whole_way(
    project: Project, operating: access.Actor, mailbox: Mailbox, hook: Hook, clock: Clock
) -> None:
    """It is an outbox row like any other; a test that fails is not repeated by itself."""
    mail, web = mail_target(operating), webhook(operating, hook).target
    for target in (mail, web):
        assert targets.test(actor=operating, pk=target.pk, now=NOW) is not None
    hook.answer = lambda handler: handler.send_error(404)
    assert sending.send_due(clock) == 1
    assert mailbox.messages[0]["Subject"] == "[Sickbay main] A test"
    assert json.loads(hook.posts[0].body)["type"] == "test"
    assert set(Outbox.objects.values_list("state", flat=True)) == {"sent", "given_up"}


def test_a_disabled_target_is_not_told(project: Project, operating: access.Actor) -> None:
    """Only enabled targets of the incident's own project get a row."""
    kept = mail_target(operating)
    targets.change(actor=operating, pk=kept.pk, label="x", address=kept.address, enabled=False, now=NOW)
    elsewhere = Project.objects.create(name="elsewhere")
    AlertTarget.objects.create(project=elsewhere, kind="email", label="y", address="y@example.com")
    cast.spends_its_budget(cast.worker(project))
    assert not Outbox.objects.exists()


def test_a_secret_is_kept_encrypted(operating: access.Actor, hook: Hook, settings: Any) -> None:
    """The row holds no secret in the clear, and another SECRET_KEY cannot read it."""
    kept = webhook(operating, hook)
    kept.target.refresh_from_db()
    assert kept.secret and kept.secret.encode() not in bytes(kept.target.secret or b"")
    assert targets.decrypt(kept.target) == kept.secret
    settings.SECRET_KEY = "another"
    assert targets.decrypt(kept.target) is None


def test_a_new_address_gets_a_new_secret(operating: access.Actor, hook: Hook) -> None:
    """Whoever may change the address does not get messages signed with the old secret."""
    kept = webhook(operating, hook)
    same = targets.change(
        actor=operating, pk=kept.target.pk, label="b", address=hook.url, enabled=True, now=NOW
    )
    moved = targets.change(
        actor=operating, pk=kept.target.pk, label="b", address=hook.url + "2", enabled=True, now=NOW
    )
    assert same is not None and same.secret is None
    assert moved is not None and moved.secret not in (None, kept.secret)
    assert AuditEntry.objects.filter(verb="change target").count() == 2


def test_another_projects_target_is_not_there(operating: access.Actor) -> None:
    """Change, remove and test find nothing."""
    elsewhere = Project.objects.create(name="elsewhere")
    other = AlertTarget.objects.create(project=elsewhere, kind="email", label="y", address="y@example.com")
    assert (
        targets.change(actor=operating, pk=other.pk, label="", address="a@b.cd", enabled=True, now=NOW)
        is None
    )
    assert targets.test(actor=operating, pk=other.pk, now=NOW) is None
    assert not targets.remove(actor=operating, pk=other.pk, now=NOW)
    assert AlertTarget.objects.filter(pk=other.pk).exists()


HOSTILE = [
    "a\r\nBcc: x@evil.example",
    "\x1b[31mred",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "tab\tand\nline",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_agents_words_stay_plain_text(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock, name: str
) -> None:
    """No header is injected, no control, bidi or zero-width character arrives."""
    mail_target(operating)
    instance = cast.worker(project)
    cast.spends_its_budget(instance, failure=cast.fails(instance, name=name, exception="E"))
    sending.send_due(clock)
    (message,) = mailbox.messages
    text = str(message["Subject"]) + str(message.get_payload(decode=True), "utf-8")
    assert message["Bcc"] is None
    assert not any(bad in text for bad in ("\x1b", "\u202e", "\u200b", "\x00", "\t"))


def test_plain_keeps_what_people_write() -> None:
    """Letters of any script stay."""
    assert cards.plain("Erstattung für Łódź 退款 ok", 100) == "Erstattung für Łódź 退款 ok"


def test_agents_that_join_are_told_of_once_a_minute(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock
) -> None:
    """Who joins an incident after its alert went out is in the next message, with all of its minute."""
    mail_target(operating)
    first = cast.worker(project, "first")
    cast.spends_its_budget(first, failure=cast.fails(first))
    assert sending.send_due(clock) == 1
    for number in range(4):
        joins = cast.worker(project, f"more-{number}")
        cast.spends_its_budget(joins, failure=cast.fails(joins), now=NOW + number * SECOND)
        cast.says(joins, "paused", now=NOW + number * SECOND)
    assert cast.only_incident().instances.count() == 5
    clock.now = NOW + 59 * SECOND
    assert sending.send_due(clock) == 0
    clock.now = NOW + 61 * SECOND
    assert sending.send_due(clock) == 1
    said = str(mailbox.messages[-1].get_payload(decode=True), "utf-8")
    assert "first and 4 more are paused: issue_refund: ValueError" in said
    assert "With it: more-3, more-2, more-1, more-0." in said
    late = cast.worker(project, "late")
    cast.spends_its_budget(late, failure=cast.fails(late), now=NOW + 150 * SECOND)
    clock.now = NOW + 150 * SECOND
    assert sending.send_due(clock) == 1 and len(mailbox.messages) == 3


def test_an_alert_that_comes_late_asks_for_nothing(
    project: Project, operating: access.Actor, alice: User, mailbox: Mailbox, clock: Clock
) -> None:
    """What was decided before its alert could go out is told, and nobody is sent to decide it."""
    mail_target(operating)
    pause = cast.spends_its_budget(cast.worker(project))
    said = {"incident_id": pause.incident_id, "version": 1, "reason": "fixed", "now": NOW}
    decisions.decide(actor=cast.actor(alice, project), verb="resume", **said)  # type: ignore[arg-type]
    assert sending.send_due(clock) == 1
    text = str(mailbox.messages[-1].get_payload(decode=True), "utf-8")
    assert "refund-desk needed a decision, and has it" in text and "nothing is asked of you" in text
    assert "decide." not in text


def test_who_was_decided_about_is_not_named_as_waiting(
    project: Project, operating: access.Actor, alice: User, mailbox: Mailbox, clock: Clock
) -> None:
    """Of a shared incident the message names those that wait when it goes out."""
    mail_target(operating)
    workers = [cast.worker(project, name) for name in ("first", "second", "third")]
    cast.spends_its_budget(workers[0], failure=cast.fails(workers[0]))
    sending.send_due(clock)
    for worker in workers[1:]:
        cast.spends_its_budget(worker, failure=cast.fails(worker))
    incident = cast.only_incident()
    said = {"incident_id": incident.pk, "version": incident.version, "reason": "x", "now": NOW}
    who = cast.actor(alice, project)
    decisions.decide(actor=who, verb="stop", agents=["first"], **said)  # type: ignore[arg-type]
    clock.now = NOW + 61 * SECOND
    assert sending.send_due(clock) == 1
    assert "third and 1 more are paused" in str(mailbox.messages[-1].get_payload(decode=True), "utf-8")


def test_who_joins_before_the_first_alert_is_in_it(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock
) -> None:
    """A message that still waits names everyone when it goes; no second one is put."""
    mail_target(operating)
    for name in ("first", "second"):
        instance = cast.worker(project, name)
        cast.spends_its_budget(instance, failure=cast.fails(instance))
    assert sending.send_due(clock) == 1 and Outbox.objects.count() == 1
    assert "With it: second." in str(mailbox.messages[0].get_payload(decode=True), "utf-8")


def test_a_second_worker_of_the_same_agent_is_no_news(
    project: Project, operating: access.Actor, mailbox: Mailbox, clock: Clock
) -> None:
    """Whoever is on call knows that agent already."""
    mail_target(operating)
    first = cast.worker(project)
    cast.spends_its_budget(first, failure=cast.fails(first))
    sending.send_due(clock)
    second = cast.make_instance(first.agent, "other")
    cast.spends_its_budget(second, failure=cast.fails(second))
    assert cast.only_incident().instances.count() == 2 and Outbox.objects.count() == 1
