"""The routes to watches, to *since when?* and to what a timeline's search finds."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import AuditEntry, Project
from agents.queries import timeline
from checkpoints.models import Watch
from checkpoints.services import watches
from tests import builders
from tests.contract.test_operators_api import Operator, in_shape
from tests.domain import cast
from tests.domain.rolling import Desk, make_desk
from tests.pages import states
from tests.pages.states import Keeper

pytestmark = pytest.mark.django_db
WATCHES = "agents/refund-desk/watches/"
SINCE = "agents/refund-desk/since/"
CHECK = {"path": "n", "op": "less", "value": "3"}


@pytest.fixture
def operator(project: Project) -> Operator:
    return Operator(project)


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


def test_a_program_keeps_a_watch(operator: Operator, desk: Desk) -> None:
    """Kept once, listed with how it stands, turned, enforced, removed; each is in the audit log."""
    taken = desk.take(1)
    status, kept = operator.post(WATCHES, CHECK)
    assert status == 200 and kept["check"] == "n is less than 3" and kept["by"] == "token tests"
    assert (kept["policy"], kept["on"]) == ("observe", True)
    assert operator.post(WATCHES, {**CHECK, "policy": "enforce"})[1] == kept
    desk.take(9)
    assert watches.look(cast.NOW) == 1
    (row,) = operator.get(WATCHES)[1]["watches"]
    (seen,) = row["seen"]
    assert (seen["instance"], seen["passes"]) == ("main", False) and seen["checkpoint"] != str(taken.pk)
    own = f"watches/{kept['id']}"
    assert operator.post(f"{own}/policy/", {"policy": "enforce"})[1]["policy"] == "enforce"
    assert operator.post(f"{own}/turn/", {"on": False})[1]["on"] is False
    assert "not watched any more" in operator.post(f"{own}/remove/")[1]["message"]
    assert operator.get(WATCHES)[1] == {"watches": []} and operator.post(f"{own}/remove/")[0] == 404
    told = AuditEntry.objects.filter(actor="token tests").order_by("pk").values_list("verb", flat=True)
    assert list(told) == ["watch", "enforce watch", "turn watch off", "remove watch"]


def test_what_is_no_watch_is_refused_in_words(operator: Operator, desk: Desk) -> None:
    """A check without a number, a file without a name, one more than an agent may have."""
    for said, word in (
        ({**CHECK, "value": "many"}, "needs a number"), ({"op": "exists", "where": "file"}, "which file"),
        ({**CHECK, "op": "eval"}, "op"), ({**CHECK, "path": "x" * 1_001}, "path"),
        ({**CHECK, "policy": "shout"}, "policy"),
    ):  # fmt: skip
        status, body = operator.post(WATCHES, said)
        assert status == 422 and in_shape(body) and word in body["message"], body
    assert operator.post(WATCHES, {**CHECK, "path": "a\0"})[0] in (400, 422)
    for number in range(watches.MOST):
        assert operator.post(WATCHES, {**CHECK, "value": str(number)})[0] == 200
    status, body = operator.post(WATCHES, {**CHECK, "value": "99"})
    assert (status, body["error"]) == (409, "too_many") and "at most 20" in body["message"]
    assert Watch.objects.count() == watches.MOST


def test_a_list_of_watches_takes_a_constant_number_of_queries(
    operator: Operator, desk: Desk, django_assert_max_num_queries: Any
) -> None:
    """However many there are."""
    desk.take(1)
    for number in range(10):
        operator.post(WATCHES, {**CHECK, "value": str(number)})
    with django_assert_max_num_queries(8):
        assert len(operator.get(WATCHES)[1]["watches"]) == 10


def test_since_when_names_the_checkpoint_and_the_actions(operator: Operator, desk: Desk) -> None:
    """Of a value: the first that has it, the one before, and what was done between them."""
    before = desk.take(1)
    desk.wire.post_events(builders.action("tidy", at=desk.wire.now(), input={"order": 4711}), first=1)
    first, newest = desk.take(2), desk.take(2)
    status, body = operator.get(SINCE, path="n")
    assert status == 200, body
    assert (body["since"]["id"], body["before"]["id"]) == (str(first.pk), str(before.pk))
    assert body["asked"]["id"] == str(newest.pk) and body["there"] and not body["bound"]
    assert [entry["name"] for entry in body["actions"]] == ["tidy"]
    assert body["message"].startswith("It has been so since ")
    asked = operator.get(SINCE, path='["n"]', newest=str(before.pk))[1]
    assert asked["before"] is None and "the oldest checkpoint that is kept" in asked["message"]


def test_since_when_of_a_list_and_of_a_file(operator: Operator, keeper: Keeper) -> None:
    """A place in a list by its number, a file by its path, and what is gone since then."""
    keeper.take({"seen": [1, 2, 3]}, {b"a": {b"b.txt": b"one"}})
    short = keeper.take({"seen": [1, 2]}, {b"a": {b"b.txt": b"two"}})
    keeper.take({"seen": [1, 2]}, {b"a": {b"b.txt": b"two"}, b"c": b""})
    gone = operator.get(SINCE, path="seen.2")[1]
    assert (gone["there"], gone["since"]["id"]) == (False, str(short.pk))
    assert gone["message"].startswith("It has not been there since ")
    changed = operator.get(SINCE, path="a/b.txt", where="file")[1]
    assert (changed["there"], changed["since"]["id"]) == (True, str(short.pk))


def test_since_when_of_nothing_says_what_there_is(operator: Operator, keeper: Keeper) -> None:
    """A slip of the pen is answered with the names that are spelled alike."""
    keeper.take({"rates": {"scale": 100, "fee": 0}}, {b"notes.md": b"x"})
    assert operator.get(SINCE, path="rates.scal")[1]["message"] == (
        "There is no rates.scal in this memory: rates has scale and 1 more. Nor was it in any that is kept."
    )
    assert "it has notes.md" in operator.get(SINCE, path="note.md", where="file")[1]["message"]
    for query in ({"where": "file"}, {"path": "[1.5]"}, {"where": "elsewhere"}, {"path": "a\0"}):
        status, body = operator.get(SINCE, **query)
        assert status == 422 and in_shape(body)
    assert operator.get(SINCE, path="x", instance="nobody")[0] == 404


def test_a_timeline_is_searched_in_inputs_and_outputs(operator: Operator, desk: Desk) -> None:
    """All words, or those in quotes as they stand; an entry that was found is there by its id."""
    said = [
        {"input": {"order": 4711}},
        {"input": {"order": 17}, "output": "as for order 4711"},
        {"input": "4711"},
    ]
    events = [builders.action("refund", at=desk.wire.now(), **one) for one in said]
    desk.wire.post_events(*events, first=1)
    found = operator.get("agents/refund-desk/timeline/", text="order 4711")[1]
    assert [entry["seq"] for entry in found["entries"]] == [2, 1] and found["next"] is None
    quoted = operator.get("agents/refund-desk/timeline/", text='"order 4711"')[1]["entries"]
    assert [entry["seq"] for entry in quoted] == [2]
    one = operator.get(f"entries/{quoted[0]['id']}/")[1]
    assert (one["agent"], one["seq"], one["body"]["output"]) == ("refund-desk", 2, "as for order 4711")
    wrong = {"since": quoted[0]["id"], "reason": "the wrong order"}
    assert operator.post("agents/refund-desk/wrong/", wrong)[0] == 200
    for text in ("", "x" * 201, "a\0"):
        assert operator.get("agents/refund-desk/timeline/", text=text)[0] == 422


def test_a_search_goes_on_behind_what_it_looked_at(
    operator: Operator, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page with nothing on it says how far back it searched, and `next` finds the rest."""
    desk.wire.post_events(*(builders.action(f"n{n}", at=desk.wire.now()) for n in range(12)), first=1)
    monkeypatch.setattr(timeline, "STRETCH", 5)
    pages: list[list[str]] = []
    before: dict[str, str] = {}
    while not pages or before:
        body = operator.get("agents/refund-desk/timeline/", text="n0", limit=1, **before)[1]
        pages.append([entry["name"] for entry in body["entries"]])
        assert (body["searched_to"] is None) == (body["next"] is None)
        before = {"before": body["next"]} if body["next"] else {}
    assert pages[0] == [] and [name for page in pages for name in page] == ["n0"]


def test_entries_of_every_kind_are_there_by_their_ids(operator: Operator, desk: Desk) -> None:
    """A run's and the server's own; what is no id is not there."""
    desk.wire.post_events(builders.action("refund", at=desk.wire.now()), first=1)
    desk.take(1)
    listed = operator.get("agents/refund-desk/timeline/")[1]["entries"]
    assert {entry["run"] is None for entry in listed} == {True, False}
    for entry in listed:
        assert operator.get(f"entries/{entry['id']}/") == (200, {**entry, "agent": "refund-desk"})
    for id in ("x", "0" * 32, f"{'0' * 32}-1", "%00", "1" * 300):
        assert operator.get(f"entries/{id}/")[0] == 404


def test_nothing_of_another_project_is_there(operator: Operator) -> None:
    """Neither its watches nor its entries, and nothing of them changes."""
    elsewhere = Project.objects.create(name="elsewhere")
    desk = make_desk(elsewhere)
    desk.take(1)
    own = Operator(elsewhere)
    kept = own.post(WATCHES, CHECK)[1]
    entry = own.get("agents/refund-desk/timeline/")[1]["entries"][0]
    for path in (WATCHES, SINCE, f"entries/{entry['id']}/"):
        assert operator.get(path)[0] == 404
    for verb, said in (("turn", {"on": False}), ("policy", {"policy": "enforce"}), ("remove", {})):
        assert operator.post(f"watches/{kept['id']}/{verb}/", said)[0] == 404
    assert own.get(WATCHES)[1]["watches"] == [kept]
