"""ledger-keeper: small errors compound.

It books card payments into `ledger.csv` and keeps a running balance. It rounds each fee down to the cent,
so every booking is off by less than a cent: no single one is wrong enough to notice. Each fifth step it
compares the balance with the sum of the payments; once the gap passes ten cents the comparison fails, and
goes on failing. Resume it with the guidance "rebuild the balance" and it recomputes from the payments.
"""

from __future__ import annotations

import csv
import random
from decimal import ROUND_DOWN, Decimal

from pace import rest, workspace

from sickbay import Agent, Run, Verdict

WORK = workspace("ledger-keeper")
LEDGER = WORK / "ledger.csv"
CENT, FEE, TOLERANCE = Decimal("0.01"), Decimal("0.0149"), Decimal("0.10")

agent = Agent(
    "ledger-keeper",
    instructions="Book every payment once. The balance must equal the payments less 1.49 % fees.",
    memory={"booked": 0, "balance": "0"},
    workspace=WORK,
    about="Books card payments and keeps the balance",
    owner="finance",
    heal=False,  # so that a human sees what it did
    while_paused="payments wait in the queue; close of day is 18:00",
)


def next_payment() -> Decimal:
    """The payment that is next in the queue; the queue is a pure function of the position."""
    return Decimal(random.Random(agent.memory["booked"]).randrange(199, 25_000)) * CENT


def book(amount: Decimal) -> str:
    """Append one payment and add what is left of it to the balance."""
    fee = (amount * FEE).quantize(CENT, ROUND_DOWN)
    with LEDGER.open("a", newline="") as file:
        csv.writer(file).writerow([agent.memory["booked"], amount, fee])
    agent.memory["booked"] += 1
    agent.memory["balance"] = str(Decimal(agent.memory["balance"]) + amount - fee)
    return str(agent.memory["balance"])


def owed() -> Decimal:
    """What the balance must be, from the payments alone."""
    with LEDGER.open(newline="") as file:
        total = sum((Decimal(amount) for _, amount, _ in csv.reader(file)), Decimal(0))
    return (total - total * FEE).quantize(CENT)


def reconcile() -> str:
    """The gap between the balance and what it must be."""
    return str(Decimal(agent.memory["balance"]) - owed())


def is_small(gap: str) -> Verdict:
    """Pass while the gap is within ten cents."""
    return Verdict(abs(Decimal(gap)) <= TOLERANCE, f"the balance is off by {gap} €")


def rebuild() -> str:
    """Recompute the balance from the payments."""
    agent.memory["balance"] = str(owed())
    return str(agent.memory["balance"])


def step(run: Run) -> None:
    """Book one payment; every fifth time reconcile before going on."""
    if run.guidance and "rebuild" in run.guidance and not is_small(reconcile()).passed:
        run.execute(rebuild)
    if agent.memory["booked"] and agent.memory["booked"] % 5 == 0:
        run.execute(reconcile, expected="a gap of at most 0.10 €", verify=is_small)
        run.checkpoint(f"reconciled after {agent.memory['booked']} payments")
    run.execute(book, next_payment(), expected="a balance above zero", verify=lambda b: Decimal(b) > 0)
    rest()


if __name__ == "__main__":
    LEDGER.touch()
    agent.supervise(step)
