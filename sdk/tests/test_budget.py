"""Laws of the failure budget."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sickbay import budget
from sickbay.budget import Account, Budget, Failure

LIMITS = Budget()


def failed(account: Account, *names: str, at: float = 0.0) -> Account:
    for name in names:
        account = budget.fail(account, Failure(f"{name}-{len(account.seen)}-{at}", name, at))
    return account


def test_three_in_a_row_spend_it() -> None:
    """The third consecutive failure spends the budget, the second does not."""
    assert budget.spent(failed(Account(), "a", "b"), LIMITS, 1.0) is None
    assert budget.spent(failed(Account(), "a", "b", "c"), LIMITS, 1.0) == "consecutive"


def test_ten_in_an_hour_spend_it_and_the_hour_rolls() -> None:
    """Ten failures within an hour pause, however many passes lie between; an hour later they are gone."""
    account = Account()
    for i in range(10):
        assert budget.spent(account, LIMITS, 10.0 * i) is None
        account = budget.succeed(failed(account, "a", at=10.0 * i), "a", "pass")
    assert budget.spent(account, LIMITS, 100.0) == "hourly"
    assert budget.spent(account, LIMITS, 3600.0) is None
    assert len(budget.rolled(account, 3600.0).hour) == 9


def test_a_read_that_works_proves_nothing_about_a_write() -> None:
    """A success without a verdict ends a streak only if all of it bears the same name."""
    account = failed(Account(), "write", "write")
    assert budget.consecutive(budget.succeed(account, "read", None)) == 2
    assert budget.consecutive(budget.succeed(account, "write", None)) == 0
    assert budget.consecutive(budget.succeed(account, "read", "pass")) == 0
    assert budget.consecutive(budget.succeed(account, "write", "unknown")) == 2


def test_the_same_failure_counts_once() -> None:
    """A failure that SDK and server both tell of is one failure."""
    crash = Failure("crash-r1", "crash", 5.0)
    account = budget.fail(Account(), crash)
    assert budget.merged(account, [crash], []).hour == account.hour


def test_a_resume_opens_an_account_on_probation() -> None:
    """After a resume the first failure pauses again, until ten actions or thirty minutes have passed."""
    account = budget.opened(failed(Account(), "a", "b", "c"), 100.0)
    assert budget.spent(account, LIMITS, 100.0) is None
    assert budget.spent(failed(account, "a", at=101.0), LIMITS, 101.0) == "probation"
    assert budget.spent(failed(account, "a", at=1901.0), LIMITS, 1901.0) is None
    for _ in range(10):
        account = budget.succeed(account, "a", "pass")
    assert budget.spent(failed(account, "a", at=102.0), LIMITS, 102.0) is None


def test_another_boot_keeps_failures_an_hour_more() -> None:
    """When boots disagree, each failure stays one full hour by this boot's clock."""
    account = budget.rebased(failed(Account(), "a", at=9_000.0), 5.0)
    assert budget.hourly(account, 3604.0) == 1
    assert budget.hourly(account, 3605.0) == 0


def test_others_count_for_the_hour_and_not_for_the_streak() -> None:
    """The hour is counted over all instances, the streak by each."""
    account = budget.merged(Account(), [], [(f"other-{i}", 0.0) for i in range(10)])
    assert budget.consecutive(account) == 0
    assert budget.spent(account, LIMITS, 1.0) == "hourly"


@given(st.lists(st.sampled_from(["a", "b", "pass-a", "ok-a", "ok-b"]), max_size=40))
def test_an_account_travels_unchanged(moves: list[str]) -> None:
    """An account that was sent as JSON is the same account on the other clock."""
    account = Account()
    for i, move in enumerate(moves):
        how, _, name = move.rpartition("-")
        if how:
            account = budget.succeed(account, name, "pass" if how == "pass" else None)
        else:
            account = budget.fail(account, Failure(f"r-{i}", name, float(i)))
    wire = json.loads(json.dumps(budget.dump(account, 50.0)))
    there = budget.load(wire, 1050.0)
    assert there.streak == account.streak
    assert budget.hourly(there, 1050.0) == budget.hourly(account, 50.0)
    assert budget.dump(there, 1050.0) == wire


@pytest.mark.parametrize("wire", [{}, {"number": None}, {"number": 1, "streak": 3, "hour": [], "seen": []}])
def test_a_hostile_account_is_refused(wire: dict[str, object]) -> None:
    """What is no account raises ValueError and nothing else."""
    with pytest.raises(ValueError, match="no account"):
        budget.load(wire, 0.0)
