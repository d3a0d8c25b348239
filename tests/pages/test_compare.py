"""Two checkpoints beside each other: all of it is shown, nothing of it does harm, and it stays small."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import AuditEntry, Project, User
from checkpoints.models import Checkpoint, Node
from dashboard.contexts.comparing import paths
from dashboard.phrasing import MINUS
from dashboard.views.compare import safe_name
from sickbay.tree.directory import Entry
from tests.pages import states
from tests.pages.states import HOSTILE, Keeper

HTMX = {"HX-Request": "true"}
SECRET = "sk-live-0123456789abcdefghij"
PART = re.compile(r'action="([^"]*reveal/[^"]*)"')


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def keeper(project: Project) -> Keeper:
    return states.make_keeper(project)


def address(old: Checkpoint, new: Checkpoint, rest: str = "") -> str:
    return f"/p/main/checkpoints/{old.pk}..{new.pk}/{rest}"


def page(client: Client, old: Checkpoint, new: Checkpoint, rest: str = "") -> str:
    answer: HttpResponse = client.get(address(old, new, rest))
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


def words(html: str) -> str:
    """What a reader reads, without marks."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_what_changed_is_there(signed_in: Client, project: Project) -> None:
    """What is the same first; then messages with their places, values, words, and files with their lines."""
    _, good, now = states.make_story(project)
    said = words(page(signed_in, good, now))
    for part in (
        "Instructions same", "Tools same", "Code git:1a2b3c4 and model claude same",
        "41 to 42: 1 deleted , 2 added , 37 only moved up by 1",
        "3 messages unchanged, places 0 to 2", "37 messages unchanged, places 4 to 40 became 3 to 39",
        f"amount_scale {MINUS} before 100 + now 10", "text of 33 words, changed in 2 places",
        "arrives is scanned",
        "8852.pdf binary, 23.0 → 24.6 KB", "moved.md was policies/old.md", "12 files unchanged",
        "4 other keys unchanged: orders, buyers, seen, queue", "5 of 17 files",
    ):  # fmt: skip
        assert part in said, part
    assert said.index("Instructions same") < said.index("1 deleted")


def test_what_stayed_is_opened_on_demand(signed_in: Client, project: Project) -> None:
    """A fold is a link to the items that it stands for, the middle of many folded again."""
    _, good, now = states.make_story(project)
    folds = re.findall(r'class="diff-fold" href="([^"]+)"', page(signed_in, good, now))
    opened = signed_in.get(folds[0].replace("&amp;", "&"), headers=HTMX).content.decode()
    assert opened.count('class="diff-row same"') == 3 and "You refund orders" in opened
    asked = urlencode({"at": '["messages"]', "place": 3, "was": 4, "count": 37})
    alone = page(signed_in, good, now, f"items/?{asked}")
    assert alone.count('class="diff-row same"') == 37 and "Back to all that differs" in alone


def test_many_that_stayed_are_folded_in_the_middle(signed_in: Client, keeper: Keeper) -> None:
    """Fifty of five thousand are shown, and the rest is a fold again."""
    memory: dict[str, Any] = {"list": list(range(5_000))}
    old, new = keeper.take(memory), keeper.take({"list": [*range(5_000), "new"]})
    asked = urlencode({"at": '["list"]', "place": 0, "was": 0, "count": 5_000})
    html = page(signed_in, old, new, f"items/?{asked}")
    assert html.count('class="diff-row same"') == 50 and "4,950 items unchanged, places 25 to 4,974" in html


@pytest.mark.parametrize(
    "rest",
    ["items/", "value/", "file/", "items/?at=[]&place=-1&was=0&count=3", "value/?at=%7B%7D", "value/?at=[[[",
     "value/?at=[%22nothing%22]", "file/?path=!!", "file/?path=AA"],
)  # fmt: skip
def test_an_address_that_names_nothing_is_a_404(signed_in: Client, keeper: Keeper, rest: str) -> None:
    """Whatever is written into an address, it is never a 500."""
    old, new = keeper.take({"a": 1}, {b"f": b"1"}), keeper.take({"a": 2}, {b"f": b"2"})
    assert signed_in.get(address(old, new, rest)).status_code == 404


def test_secrets_are_masked_until_they_are_revealed(signed_in: Client, project: Project) -> None:
    """By key and by shape, in values, texts and files; revealing is a POST that is written down first."""
    _, good, now = states.make_story(project)
    html = page(signed_in, good, now)
    assert SECRET not in html and "Reveal, this is audited" in html
    (form,) = PART.findall(html)
    assert signed_in.get(form.replace("&amp;", "&")).status_code == 405
    assert not AuditEntry.objects.filter(verb="reveal secret").exists()
    shown = signed_in.post(form.replace("&amp;", "&"), headers=HTMX)
    assert SECRET in shown.content.decode() and shown["Cache-Control"] == "no-store"
    kept = AuditEntry.objects.filter(verb="reveal secret")
    assert {str(entry.saw) for entry in kept} == {"{'of': 'payments.api_key'}"} and kept.count() == 2
    assert SECRET not in str([entry.saw for entry in AuditEntry.objects.all()])


def test_a_secret_in_a_message_a_file_or_an_unchanged_item_is_masked(
    signed_in: Client, keeper: Keeper
) -> None:
    """Everything that shows a state shows it masked."""
    memory = {
        "messages": [{"role": "user", "content": f"the key is {SECRET}"}, {"role": "user", "content": "b"}]
    }
    old = keeper.take(memory, {b".env": f"TOKEN=hunter2hunter2\nA={SECRET}\n".encode()})
    now = {"messages": [*memory["messages"], {"role": "tool", "content": "password: hunter2hunter2"}]}
    new = keeper.take(now, {b".env": b"TOKEN=hunter3hunter3\nA=1\n"})
    asked = urlencode({"at": '["messages"]', "place": 0, "was": 0, "count": 2})
    file = f"file/?path={paths.file_written(b'.env')}"
    for rest in ("", f"items/?{asked}", file):
        html = page(signed_in, old, new, rest)
        assert SECRET not in html and "hunter" not in html and "••••" in html
    revealed = signed_in.post(
        address(old, new, "reveal/"), {"path": paths.file_written(b".env")}, headers=HTMX
    )
    assert SECRET in revealed.content.decode() and "hunter3" in revealed.content.decode()
    assert AuditEntry.objects.filter(verb="reveal secret", saw={"of": ".env"}).count() == 2


def test_a_viewer_sees_masks_and_takes_nothing_away(client: Client, bob: User, keeper: Keeper) -> None:
    """Revealing and downloading need the role of who decides."""
    old, new = keeper.take({"token": "a"}, {b"f": b"1"}), keeper.take({"token": "b"}, {b"f": b"2"})
    client.force_login(bob)
    html = page(client, old, new)
    assert "needs the role responder" in html and "Reveal" not in html and "Download" not in html
    assert client.post(address(old, new, "reveal/?at=[%22token%22]")).status_code == 403
    assert client.post(f"/p/main/checkpoints/{new.pk}/download/", {"path": "Zg"}).status_code == 403


def test_who_is_outside_finds_nothing(client: Client, charlie: User, keeper: Keeper) -> None:
    """Not in this project, and not by the ids in another."""
    old, new = keeper.take({"a": 1}), keeper.take({"a": 2})
    assert client.get(address(old, new)).status_code == 302
    client.force_login(charlie)
    assert client.get(address(old, new)).status_code == 404
    assert client.get(address(old, new).replace("main", "elsewhere")).status_code == 404


def test_hostile_texts_are_only_text(signed_in: Client, keeper: Keeper) -> None:
    """In keys, values, messages, labels, codes, file names and their bytes: seen, never obeyed."""
    lone = "\ud800" + HOSTILE
    names = {
        HOSTILE.encode()[:200].replace(b"/", b"-"): b"x\n",
        b"\xff\xfe\n\t.sh": b"\x1b[31m\n",
        b" \r": b"1",
    }
    manifest = {"code": HOSTILE, "model": HOSTILE}
    old = keeper.take({HOSTILE: 1, "messages": []}, {b"a": b"1"}, label=HOSTILE)
    memory = {
        HOSTILE: lone,
        "messages": [{"role": HOSTILE, "content": lone, "at": HOSTILE}],
        lone: {lone: [lone]},
    }
    link = Entry(b"", 2, body=b"../../etc/pass\xffwd\n")
    new = keeper.take(memory, {**names, b"link": link}, label=HOSTILE, manifest=manifest, notes=[HOSTILE])
    asked = urlencode({"at": '["messages"]', "place": 0, "was": 0, "count": 1})
    for path in (
        address(old, new), address(old, new, f"items/?{asked}"), address(old, new, "?q=<img src=x>"),
        address(old, new, f"file/?path={paths.file_written(b'link')}"),
        address(old, new, "value/?" + urlencode({"at": paths.written((lone,))})),
        f"/p/main/agents/refund-desk/checkpoints/?open={new.pk}",
    ):  # fmt: skip
        answer = signed_in.get(path)
        html = answer.content.decode()
        assert answer.status_code == 200, path
        assert "<img src=x" not in html and "\u202e" not in html and "\x1b" not in html
    html = page(signed_in, old, new)
    assert "\\xFF" in html and "U+000A" in html and "U+202E" in html and "U+D800" in html


def test_a_damaged_node_says_so(signed_in: Client, keeper: Keeper) -> None:
    """The part that needs it cannot be compared; the rest of the page is there."""
    big = [{"role": "user", "content": f"{n} " * 200} for n in range(200)]
    old = keeper.take({"messages": big}, states.workspace())
    new = keeper.take({"messages": big[:50] + big[51:]}, states.workspace_now())
    Node.objects.filter(kind=0).update(body=b"\0broken")
    answer = signed_in.get(address(old, new))
    said = words(answer.content.decode())
    assert answer.status_code == 200 and "A part of it is damaged" in said and "refund-rules.md" in said
    Node.objects.all().update(body=b"\0broken")
    assert words(page(signed_in, old, new)).count("is damaged, so it cannot be compared") == 2
    assert (
        "cannot be compared: damaged"
        in signed_in.get(
            "/p/main/agents/refund-desk/checkpoints/", headers={**HTMX, "HX-Target": "checkpoints"}
        ).content.decode()
    )


def test_a_file_is_shown_side_by_side_at_an_address(signed_in: Client, keeper: Keeper) -> None:
    """The lines that changed stand in one row; the address can be pasted, and leads back to one column."""
    old, new = keeper.take({}, {b"f": b"a\nold\nz\n"}), keeper.take({}, {b"f": b"a\nnew\nz\n"})
    file = f"file/?path={paths.file_written(b'f')}"
    unified, beside = page(signed_in, old, new, file), page(signed_in, old, new, file + "&beside=1")
    assert "Side by side" in unified and "two-sides" not in unified
    assert beside.count('class="two-sides"') == 3 and "Unified" in beside


def test_what_is_too_large_says_how_large(signed_in: Client, keeper: Keeper) -> None:
    """A message of 100 KB, a text of 3 MB, a file of 2 MB: by size, in words."""
    old = keeper.take({"text": "a" * 3_000_000, "messages": []}, {b"f": b"x" * 2_000_000})
    new = keeper.take(
        {"text": "b" * 3_100_000, "messages": [{"role": "user", "content": ["word " * 20_000, {}]}]},
        {b"f": b"y" * 2_100_000},
    )
    html = page(signed_in, old, new)
    assert "too large, shown as its size: 3.0 → 3.1 MB" in html and len(html) < 100_000
    assert "too large, shown as its size: value of 100 KB" in html and "2.0 → 2.1 MB" in html
    file = page(signed_in, old, new, f"file/?path={paths.file_written(b'f')}")
    assert "Too large, shown as its size: 2.0 MB → 2.1 MB, hash " in file


def test_thousands_of_changes_come_in_parts(signed_in: Client, keeper: Keeper) -> None:
    """The page stays under 300 KB; the rest is a link."""
    old = keeper.take({"messages": [{"role": "user", "content": f"{n} " * 40} for n in range(3_000)]})
    new = keeper.take({"messages": [{"role": "user", "content": f"{n} is " * 40} for n in range(3_000)]})
    html = page(signed_in, old, new)
    more = re.search(r'class="button" href="([^"]+)"', html)
    assert len(html) < 300_000 and "Show more: " in html and more
    assert "From difference 121 on" in signed_in.get(more[1].replace("&amp;", "&")).content.decode()


def test_thousands_of_edits_are_looked_into_where_they_are_shown(
    signed_in: Client, keeper: Keeper, django_assert_max_num_queries: Any
) -> None:
    """Far down as at the top an edit is shown by its value, one with many in part; none is left out."""
    said = [{"role": "user", "id": f"m{n}", "content": f"order {n}", "tries": 1} for n in range(900)]
    old: Any = {"messages": said}
    new = {"messages": [one | {"tries": one["tries"] + 1} for one in old["messages"]]}
    new["messages"][880] = {**old["messages"][880], **{f"key-{n}": n for n in range(60)}}
    before, after = keeper.take(old), keeper.take(new)
    with django_assert_max_num_queries(20):
        top = page(signed_in, before, after)
    assert "900 changed" in words(top) and "looked at" not in top
    assert words(top).count(" tries ") == 120
    assert "780 differences follow" in top
    last = page(signed_in, before, after, "?from=840")
    assert words(last).count(" tries ") == 59
    assert "40 more values changed in messages 880" in words(last)
    href = re.findall(r'class="diff-fold" href="([^"]+)"', last)[-1].replace("&amp;", "&")
    assert "key-59" in signed_in.get(href, headers=HTMX).content.decode()
    assert len(last) < 300_000


def test_what_is_looked_for_is_found_in_any_of_thousands(signed_in: Client, keeper: Keeper) -> None:
    """A search looks into every change, not only into those that a page would show."""
    old = {"messages": [{"id": f"m{n}", "role": "user", "content": "the same", "n": n} for n in range(600)]}
    new = {"messages": [one | {"n": one["n"] + 1} for one in old["messages"]]}
    new["messages"][590]["content"] = "a needle"
    found = page(signed_in, keeper.take(old), keeper.take(new), "?q=needle")
    assert "needle" in words(found) and found.count("diff-row") < 10


def test_another_system_message_is_other_instructions(signed_in: Client, keeper: Keeper) -> None:
    """What the agent is told to be may stand in its first message."""
    said = [{"role": "system", "content": "You refund orders."}, {"role": "user", "content": "order 17"}]
    other = [{**said[0], "content": "You refund anything."}, said[1]]
    first = keeper.take({"messages": said})
    assert "Instructions differ" in page(signed_in, first, keeper.take({"messages": other}))
    later = [said[0], {**said[1], "content": "order 18"}]
    assert "Instructions same" in page(signed_in, first, keeper.take({"messages": later}))


def test_within_the_changes(signed_in: Client, project: Project) -> None:
    """Only what has the text, in its place, its value or its path."""
    _, good, now = states.make_story(project)
    said = words(page(signed_in, good, now, "?q=AMOUNT_SCALE"))
    assert "amount_scale" in said and "Summary: orders" not in said and "No changed file has" in said
    assert "Nothing that differs has" in words(page(signed_in, good, now, "?q=zebra"))


def test_the_same_twice_and_the_other_way_round(signed_in: Client, keeper: Keeper) -> None:
    """Both are answered: the one in words, the other by the order of time."""
    old, new = keeper.take({"a": 1}), keeper.take({"a": 2})
    assert "This is the same checkpoint twice." in page(signed_in, old, old)
    turned = signed_in.get(address(new, old))
    assert turned.status_code == 302 and turned["Location"] == address(old, new)


def test_picking_two(signed_in: Client, keeper: Keeper) -> None:
    """Two lead to their comparison in the order of time; anything else is told, and nothing is a 500."""
    old, new = keeper.take({"a": 1}), keeper.take({"a": 2})
    chosen = signed_in.get("/p/main/checkpoints/pick/", {"pick": [str(new.pk), str(old.pk)]})
    assert chosen["Location"] == address(old, new)
    for asked in ([], [str(old.pk)], ["x", "y"], [str(old.pk)] * 2):
        answer = signed_in.get("/p/main/checkpoints/pick/", {"pick": asked}, follow=True)
        assert "Choose two checkpoints to compare." in answer.content.decode()


def test_a_download_is_bytes_under_a_safe_name(signed_in: Client, keeper: Keeper) -> None:
    """Attachment, octet-stream, nosniff, by POST, and in the audit log; never opened by the browser."""
    name = b'bad"\r\nSet-Cookie: a=b;\xff.html'
    found = keeper.take({}, {b"d": {name: b"<script>alert(1)</script>"}})
    where = f"/p/main/checkpoints/{found.pk}/download/"
    asked = {"path": paths.file_written(b"d/" + name)}
    assert signed_in.get(where, asked).status_code == 405
    answer = signed_in.post(where, asked)
    assert answer.content == b"<script>alert(1)</script>"
    assert (
        answer["Content-Type"] == "application/octet-stream" and answer["X-Content-Type-Options"] == "nosniff"
    )
    assert answer["Content-Disposition"] == 'attachment; filename="bad_Set-Cookie_a_b_.html"'
    assert AuditEntry.objects.filter(verb="download file").count() == 1
    for nothing in (b"d", b"x", b"../d", b""):
        assert signed_in.post(where, {"path": paths.file_written(nothing)}).status_code == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [(b"..", "file"), (b"a/.bashrc", "bashrc"), ("ü.txt".encode(), "_.txt"), (b"\xff", "_"), (b"CON", "CON"),
     (b"-rf", "rf"), (b"x" * 300 + b".sh", "x" * 97 + ".sh"), (b"a\n b", "a_b")],
)  # fmt: skip
def test_a_safe_name_is_only_a_name(path: bytes, name: str) -> None:
    """No directory, no option, no hidden file, no character that anything obeys."""
    assert safe_name(path) == name


def test_queries_do_not_grow_with_the_changes(signed_in: Client, keeper: Keeper) -> None:
    """One change or five hundred: as many questions."""
    counts = []
    memory = {"messages": [{"role": "user", "content": "x" * 300, "n": n} for n in range(500)], "more": {}}
    for changed in (1, 250):
        old = keeper.take(memory, {str(n).encode(): b"1" for n in range(changed)})
        for n in range(changed):
            memory["messages"][n]["content"] = f"{changed} {n}"
        new = keeper.take(memory, {str(n).encode(): b"2" for n in range(changed)})
        signed_in.get(address(old, new))
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page(signed_in, old, new)
        counts.append(len(asked))
    assert counts[1] <= counts[0] + 3 and counts[1] < 45, counts


def test_that_its_files_went_on_changing_is_said_where_it_matters(signed_in: Client, keeper: Keeper) -> None:
    """On the compare page, in the history, and before a rollback; only some names are shown."""
    names = ["a.txt", "<b>.txt", *(f"{n}.log" for n in range(5))]
    files = {b"a.txt": b"1"}
    old = keeper.take(states.memory(), files, facts={"moving": names})
    new = keeper.take(states.memory(21), {b"a.txt": b"2"})
    said = "a.txt, &lt;b&gt;.txt, 0.log, 1.log and 3 others went on changing while it was taken"
    assert f"The older one is not of one moment: {said}" in page(signed_in, old, new)
    history = signed_in.get(f"/p/main/agents/refund-desk/checkpoints/?open={old.pk}").content.decode()
    assert "Not of one moment" in history and said in history
    before = signed_in.get(f"/p/main/checkpoints/{old.pk}/rollback/").content.decode()
    assert f"It is not of one moment: {said}." in before
    assert "The newer one" not in page(signed_in, old, new)
