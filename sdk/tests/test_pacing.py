"""Laws of waiting after failures."""

from __future__ import annotations

from sickbay._pacing import Pacing


def test_the_first_tries_come_soon_and_the_later_ones_within_a_minute() -> None:
    """A server that is back after seconds is found within seconds; after long it is asked once a minute."""
    pacing = Pacing(random=lambda: 1.0)
    assert [pacing.failed() for _ in range(10)] == [0.5, 1.0, 2.0, 2.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    pacing.worked()
    assert pacing.failed() == 0.5


def test_a_large_fleet_spreads_over_what_the_server_said() -> None:
    """Five thousand agents that lose their server together come back over twenty seconds."""
    pacing = Pacing(random=lambda: 1.0)
    pacing.told(20.0)
    assert [pacing.failed() for _ in range(7)] == [20.0] * 5 + [40.0, 60.0]


def test_jitter_is_full() -> None:
    """Each wait lies anywhere between nothing and its limit."""
    pacing = Pacing(random=lambda: 0.0)
    assert pacing.failed() == 0.0
