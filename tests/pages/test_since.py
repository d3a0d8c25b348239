"""*Since when?* names the checkpoint from which on a value is as it is, and what was done before it."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Project, User
from checkpoints import since, store
from checkpoints.diffs import places
from checkpoints.diffs.tracing import Tracing
from checkpoints.models import Checkpoint, Rollback, Watched
from checkpoints.services import watches
from dashboard.contexts.comparing import paths
from tests import builders
from tests.pages import states
from tests.pages.states import HOSTILE, Keeper
from tests.pages.test_compare import address, page, words


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


def took(keeper: Keeper, *values: Any) -> list[Checkpoint]:
    """One checkpoint for each value of `scale`, an action named by its place before each."""
    made = []
    for n, value in enumerate(values):
        wire = keeper.taker.wire
        wire.post_events(builders.action(f"act_{n}", at=wire.now()), first=n + 1)
        made.append(keeper.take({"rates": {"scale": value, "other": n}, "many": list(range(50))}))
    return made


def first_of(checkpoint: Checkpoint, *path: str | int) -> since.Since:
    return since.value(checkpoint, path)


def test_the_newest_change_is_found(keeper: Keeper) -> None:
    """A value that was so before and otherwise in between is so since it came back."""
    made = took(keeper, 100, 10, 100, 10, 10, 10)
    found = first_of(made[5], "rates", "scale")
    assert (found.first, found.before, found.is_bound) == (made[3], made[2], False)
    assert [entry.name for entry in found.actions] == ["act_3"] and found.is_there
    assert first_of(made[2], "rates", "scale").first == made[2]


def test_what_never_changed_is_so_since_the_line_began(keeper: Keeper) -> None:
    """With nothing before it, and no action is blamed."""
    made = took(keeper, 1, 2, 3)
    found = first_of(made[2], "many", 7)
    assert (found.first, found.before, found.actions) == (made[0], None, [])


def test_what_is_gone_is_gone_since(keeper: Keeper) -> None:
    """From the first checkpoint in which nothing stands there."""
    made = [
        keeper.take(memory) for memory in ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1, "c": 3})
    ]
    found = first_of(made[3], "b")
    assert (found.first, found.before, found.is_there) == (made[2], made[1], False)


def test_files_are_told_as_values_are(keeper: Keeper) -> None:
    """By path, in a directory of its own or in place, and when the workspace began."""
    took(keeper, 1)
    made = [
        keeper.take({}, files) for files in ({b"d": {b"x": b"1"}}, {b"d": {b"x": b"2"}}, {b"d": {b"x": b"2"}})
    ]
    assert since.file(made[2], b"d/x").first == made[1]
    assert since.file(made[2], b"d/y").first.at < made[0].at
    assert since.file(made[0], b"d/x").before is not None


def test_what_was_rolled_back_is_left_out(keeper: Keeper) -> None:
    """The line leads over the restored checkpoint; actions before the rollback are not blamed."""
    made = took(keeper, 1, 2, 3)
    keeper.taker.parent = str(made[0].pk)
    row = Rollback(
        project_id=made[0].project_id, agent_id=made[0].agent_id, instance_id=made[0].instance_id,
        checkpoint=made[0].pk, state="verified", by="alice", ended_at=made[2].at,
    )  # fmt: skip
    row.save()
    wire = keeper.taker.wire
    wire.post_events(builders.action("after", at=wire.now()), first=4)
    new = keeper.take({"rates": {"scale": 3}})
    found = first_of(new, "rates", "scale")
    assert (found.first, found.before) == (new, made[0])
    assert [entry.name for entry in found.actions] == ["after"]


def test_a_walk_has_a_bound_and_says_so(
    signed_in: Client, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In checkpoints and in bytes; asking again from there goes on to the end."""
    monkeypatch.setattr(since, "MOST_STEPS", 3)
    made = took(keeper, 0, 1, 1, 1, 1, 1, 1)
    asked = urlencode({"at": '["rates","scale"]'})
    html = page(signed_in, made[0], made[6], f"since/?{asked}")
    seen = 1
    while back := re.search(r'href="([^"]*back=[^"]*)"', html):
        assert "At least since" in words(html)
        html = signed_in.get(back[1].replace("&amp;", "&")).content.decode()
        seen += 1
    assert seen == 3 and "At least" not in words(html) and "act_1" in html
    monkeypatch.setattr(since, "MOST_BYTES", 1)
    found = first_of(made[6], "rates", "scale")
    assert found.is_bound and found.first == made[6]


def test_many_checkpoints_are_few_questions(keeper: Keeper) -> None:
    """A hundred as many as fifty need twice; nothing is loaded but roots and what leads there."""
    made = took(keeper, 0, *[1] * 99)
    with CaptureQueriesContext(connection) as asked:
        assert first_of(made[-1], "rates", "scale").first == made[1]
    assert len(asked.captured_queries) < 20, len(asked.captured_queries)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.integers() | st.text(max_size=20) | st.just("long " * 300),
        lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=5), inner, max_size=30),
        max_leaves=60,
    )
)
def test_a_mark_is_that_of_the_place(keeper: Keeper, memory: Any) -> None:
    """Tracing finds at every path what looking there finds, and nothing where nothing stands."""
    root = bytes(keeper.take({"m": memory}).memory or b"")

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(Project.objects.get().pk, names)

    every = [("m",), *walked(memory, ("m",))]
    for path in [*every[:40], ("m", "none"), ("m", 999), ("m", -1), ("none", 0), ()]:
        tracing = Tracing(fetch, 1 << 20)
        assert tracing.values([root], path)
        item = places.value(root, path, fetch)
        assert tracing.marks[root] == (item.mark[1] if item is not None else None), path


def walked(value: Any, at: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in pairs for found in ((*at, key), *walked(inner, (*at, key)))]


def test_the_page_names_it_and_leads_on(signed_in: Client, keeper: Keeper) -> None:
    """Each value asks; the answer has the checkpoint, the action, and what to do with them."""
    made = took(keeper, 100, 10, 10)
    html = page(signed_in, made[0], made[2])
    asked = re.findall(r'href="([^"]*/since/[^"]*)"', html)
    assert len(asked) == 2
    said = signed_in.get(asked[0].replace("&amp;", "&"), headers={"HX-Request": "true"}).content.decode()
    assert said.startswith('<span class="since">') and "act_1" in said and "act_2" not in said
    assert address(made[0], made[1]) in said and f"wrong/?since={made[1].pk}" in said
    assert "Back to all that differs" in signed_in.get(asked[0].replace("&amp;", "&")).content.decode()


def test_a_secret_is_told_of_and_not_shown(client: Client, bob: User, keeper: Keeper) -> None:
    """Whoever may look may know since when it is another; what it is, nobody learns."""
    made = [
        keeper.take({"api_key": key})
        for key in ("sk-live-0123456789abcdefghij", "sk-live-zyxwvutsrq9876543210")
    ]
    client.force_login(bob)
    html = page(client, made[0], made[1], "since/?at=[%22api_key%22]")
    assert "sk-live" not in html and made[1].pk.hex in html.replace("-", "")


def check_in(html: str) -> dict[str, str]:
    """What is proposed to be watched, as its form will send it."""
    query = parse_qs(re.search(r'href="[^"]*/bisect/\?([^"#]*)#watch"', html)[1].replace("&amp;", "&"))  # type: ignore[index]
    return {name: values[0] for name, values in query.items()}


def watched(client: Client, said: dict[str, str]) -> str:
    """The page that the proposal leads to, and the watch that its form keeps."""
    html = client.get(f"/p/main/agents/refund-desk/bisect/?{urlencode(said)}").content.decode()
    client.post("/p/main/agents/refund-desk/watches/", said)
    return html


def stands() -> list[bool | None]:
    watches.look(timezone.now())
    return list(Watched.objects.order_by("watch_id").values_list("passes", flat=True))


def test_the_value_before_can_be_watched_for(signed_in: Client, keeper: Keeper) -> None:
    """Place, operator and value are filled in; it fails as it is, and passes when it is again as it was."""
    made = took(keeper, 100, 10)
    said = check_in(page(signed_in, made[0], made[1], "since/?at=[%22rates%22,%22scale%22]"))
    assert said == {"where": "memory", "path": "rates.scale", "op": "equals", "value": "100"}
    assert "fails since" in words(watched(signed_in, said)) and stands() == [False]
    keeper.take({"rates": {"scale": 100}})
    assert stands() == [True]


def test_a_secret_is_watched_without_being_said(signed_in: Client, keeper: Keeper) -> None:
    """The checkpoint stands for it: in the address, the form and the list; and it is told from another."""
    keys = ("sk-live-0123456789abcdefghij", "sk-live-zyxwvutsrq9876543210")
    made = [keeper.take({"api_key": key, "note": f"it is {key}"}) for key in keys]
    for place in ("api_key", "note"):
        said = check_in(page(signed_in, made[0], made[1], f"since/?at=[%22{place}%22]"))
        assert said == {"where": "memory", "path": place, "op": "as_in", "value": str(made[0].pk)}
        html = (
            watched(signed_in, said)
            + signed_in.get("/p/main/agents/refund-desk/checkpoints/").content.decode()
        )
        assert "sk-live" not in html and f"{place} is as in checkpoint {str(made[0].pk)[:8]}" in words(html)
    assert stands() == [False, False]
    keeper.take({"api_key": keys[0], "note": "another"})
    assert stands() == [True, False]


def test_what_is_long_new_or_a_file_is_watched_by_its_checkpoint(signed_in: Client, keeper: Keeper) -> None:
    """As it was: long, not there, or the bytes of a file; the place is written so that it is found again."""
    old = keeper.take({"a.b": "x" * 5_000}, {b"d": {b"x": b"1"}})
    new = keeper.take({"a.b": "y", "new": 1}, {b"d": {b"x": b"2"}})
    at = {"value": str(old.pk), "op": "as_in"}
    for query, where, path in (
        ({"at": '["a.b"]'}, "memory", '["a.b"]'),
        ({"at": '["new"]'}, "memory", "new"),
        ({"path": paths.file_written(b"d/x")}, "file", "d/x"),
    ):
        said = check_in(page(signed_in, old, new, f"since/?{urlencode(query)}"))
        assert said == at | {"where": where, "path": path}
        watched(signed_in, said)
    assert stands() == [False] * 3
    keeper.take({"a.b": "x" * 5_000}, {b"d": {b"x": b"1"}})
    assert stands() == [True] * 3


def test_another_agents_checkpoint_is_compared_with_nothing(signed_in: Client, keeper: Keeper) -> None:
    """It cannot be judged, whoever's it is: an id alone tells nothing. What is no id is refused."""
    took(keeper, 1)
    other = states.make_keeper(Project.objects.get(name="main"), "other-desk").take({"rates": {"scale": 1}})
    said = {"where": "memory", "path": "rates.scale", "op": "as_in"}
    watched(signed_in, said | {"value": str(other.pk)})
    assert stands() == [None]
    assert "its whole id" in watched(signed_in, said | {"value": "3f2a"}) and Watched.objects.count() == 1


def test_who_may_ask(client: Client, charlie: User, keeper: Keeper) -> None:
    """Members of the project, about its own checkpoints."""
    made = took(keeper, 1, 2)
    path = address(made[0], made[1], "since/?at=[%22rates%22]")
    assert client.get(path).status_code == 302
    client.force_login(charlie)
    assert client.get(path).status_code == client.get(path.replace("main", "elsewhere")).status_code == 404


@pytest.mark.parametrize(
    "rest",
    ["", "?at=", "?at={}", "?at=[1.5]", "?at=[[", "?path=!", f"?at=[]&back={uuid.UUID(int=7)}"],
)
def test_an_address_that_names_nothing_is_a_404(signed_in: Client, keeper: Keeper, rest: str) -> None:
    """Never a 500."""
    made = took(keeper, 1, 2)
    assert signed_in.get(address(made[0], made[1], f"since/{rest}")).status_code == 404


def test_hostile_places_are_only_places(signed_in: Client, keeper: Keeper) -> None:
    """Keys, labels, names of actions and of files, whatever they hold, and however deep they lead."""
    wire = keeper.taker.wire
    old = keeper.take({HOSTILE: 1}, {b"\xff": b"1"}, label=HOSTILE)
    wire.post_events(builders.action(HOSTILE, at=wire.now()))
    new = keeper.take({HOSTILE: 2}, {b"\xff": b"2"}, label=HOSTILE)
    for query in (
        {"at": paths.written((HOSTILE,))}, {"path": paths.file_written(b"\xff")}, {"at": '["x",1,"y"]'},
        {"at": '["' + '",1,"'.join("abcdefgh") + '"]'}, {"at": "[-1]"}, {"at": "[" + "9" * 300 + "]"},
        {"path": paths.file_written(b"//../\0")}, {"at": '["\\ud800"]'}, {"at": "[]"},
    ):  # fmt: skip
        html = page(signed_in, old, new, f"since/?{urlencode(query)}")
        assert "<img src=x" not in html and "\u202e" not in html, query


def test_a_damaged_line_is_told(signed_in: Client, keeper: Keeper) -> None:
    """In words."""
    made = took(keeper, 1, 2)
    Checkpoint.objects.filter(pk=made[0].pk).update(memory=b"\1" * 32)
    assert "damaged" in page(signed_in, made[1], made[1], "since/?at=[%22rates%22,%22scale%22]")
