"""The agent of the browser story: it refunds a tenth until somebody tells it how amounts are meant."""

from __future__ import annotations

import threading
from typing import Any

from sickbay import Agent

agent = Agent(
    "refund-desk",
    about="Refunds up to 500 € for web-shop orders",
    owner="payments",
    while_paused="11 refunds wait, 4 h is fine",
    runbook="https://wiki.example.com/refund-desk",
)


def issue_refund(order: dict[str, Any], scale: int) -> str:
    return f"{order['amount'] * scale / 100:.2f} €"


def step(run: Any) -> None:
    scale = 100 if run.guidance else 10
    run.execute(
        lambda: issue_refund({"order": 8852, "amount": 400}, scale),
        name="issue_refund",
        expected="400.00 €",
        verify=lambda refunded: refunded == "400.00 €",
    )
    threading.Event().wait(0.2)


agent.supervise(step)
