"""Small drawings and short words are pure functions, so their laws are said here without a page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Kind, Status
from dashboard import drawing, marks, phrasing

NOW = datetime(2026, 11, 22, 2, 55, tzinfo=UTC)


def places(path: str) -> list[int]:
    return [int(x) for x in re.findall(r"M(\d+) ", path)]


def test_an_hour_without_minutes_is_only_the_line() -> None:
    """Nothing known draws nothing, and says so in words."""
    assert drawing.hour_bars("").ok == drawing.hour_bars("").failed == ""
    assert drawing.hour_bars("[]").words == "0 succeeded, 0 failed in the last hour"


def test_successes_stand_on_the_line_and_failures_hang_below_it() -> None:
    """Direction tells a failure from a success, not colour alone."""
    bars = drawing.hour_bars(json.dumps([[3, 0]] * 59 + [[1, 2]]))
    assert "v-14h2v14z" in bars.ok and bars.ok.count("M") == 60
    assert bars.failed == "M177 15h3v7h-3z"
    assert bars.words == "178 succeeded, 2 failed in the last hour"


def test_a_short_list_of_minutes_ends_at_now() -> None:
    """Minutes are given oldest first, and the newest stands at the right end."""
    assert places(drawing.hour_bars("[[1, 0], [2, 0]]").ok) == [58 * 3, 59 * 3]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=90))
def test_bars_never_leave_their_box(minutes: list[tuple[int, int]]) -> None:
    """Whatever the counts, the drawing is as wide and as high as it says."""
    bars = drawing.hour_bars(json.dumps(minutes))
    assert all(x + 2 <= bars.width for x in places(bars.ok))
    assert all(int(up) <= drawing.UP for up in re.findall(r"v-(\d+)h", bars.ok))
    assert all(int(down) <= drawing.DOWN for down in re.findall(r"h3v(\d+)", bars.failed))


@pytest.mark.parametrize(
    ("used", "limit", "tone"),
    [(0, 3, ""), (1, 3, ""), (2, 3, "warn"), (3, 3, "bad"), (5, 3, "bad"), (0, 1, ""), (1, 1, "bad")],
)
def test_a_gauge_warns_at_one_left_and_is_bad_when_spent(used: int, limit: int, tone: str) -> None:
    """One failure left is a warning once one was counted; a spent budget is bad, also when overdrawn."""
    assert drawing.gauge(used, limit, 0, 10).tone == tone


def test_either_limit_speaks_for_the_whole_gauge() -> None:
    """The hour alone can be spent, and the gauge says which of both it was."""
    gauge = drawing.gauge(0, 3, 10, 10)
    assert (gauge.tone, gauge.streak.tone, gauge.hour.tone) == ("bad", "", "bad")
    assert gauge.words == "0 of 3 failures in a row, 10 of 10 this hour"


def test_up_to_twelve_are_boxes_and_more_are_a_meter() -> None:
    """A limit of 50 is not fifty boxes; its meter is full only when it is spent."""
    boxes, meter = drawing.gauge(3, 12, 1, 50), drawing.gauge(49, 50, 50, 50)
    assert (boxes.streak.full.count("M"), boxes.streak.free.count("M")) == (3, 9)
    assert meter.streak.width == meter.hour.width == drawing.METER
    assert meter.streak.full != meter.hour.full == "M0 0h40v8h-40z"


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_gauge_never_leaves_its_box(used: int, limit: int) -> None:
    """Budgets are the developer's to choose, so any of them can be drawn."""
    count = drawing.gauge(used, limit, 0, 10).streak
    assert all(0 <= x <= count.width for x in places(count.full))
    assert count.width <= max(drawing.METER, 12 * 10)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (9.9, "9 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86400, "1 d 0 h")],
)
def test_an_age_has_one_unit_and_two_from_a_day_on(seconds: float, words: str) -> None:
    """Ages are short enough for a column, and a clock that ran ahead is no negative age."""
    assert phrasing.age(seconds) == words


def test_a_day_is_named_only_when_it_is_not_today() -> None:
    """Today's times are bare, older ones carry the date, older ones still the year."""
    assert phrasing.day(NOW, NOW) == "02:55"
    assert phrasing.day(NOW - timedelta(days=8), NOW) == "14 Nov 02:55"
    assert phrasing.day(NOW - timedelta(days=400), NOW) == "18 Oct 2025 02:55"


def test_every_status_and_kind_has_an_icon_and_a_word() -> None:
    """No colour carries meaning alone."""
    assert set(marks.STATUS) == set(Status.values) and set(marks.KIND) == set(Kind.values)
    assert all(mark.icon and mark.word for mark in [*marks.STATUS.values(), *marks.KIND.values()])


def test_an_outcome_that_nobody_drew_is_said_in_its_own_words() -> None:
    """A new outcome of an agent is shown as it came, without an icon that would lie."""
    assert marks.outcome_mark("3 in a row") == marks.Mark("", "", "3 in a row")
    assert marks.outcome_mark("good", "good, verified").word == "good, verified"
