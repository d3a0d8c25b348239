"""price-watch: a tool changes under the agent.

It asks a supplier's price service, a real HTTP server that this program runs on a port of its own, and
keeps `prices.csv`. After some answers the supplier ships a new version: the price moves from `{"price":
"12.50"}` to `{"amount": {"cents": 1250}}`, and every look-up fails. Resume it with the guidance "read
amount.cents" and it goes on; resumed without, it fails on probation and asks again.
"""

from __future__ import annotations

import csv
import json
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

from pace import rest, workspace

from sickbay import Agent, Run

ARTICLES = ["bolt-m8", "cable-3m", "drill-5mm", "filter-a2", "gasket-40", "hinge-s", "lamp-e27", "pump-12v"]
OLD_SHAPE_FOR = int(os.environ.get("SICKBAY_DEMO_GOOD_STEPS", "40"))
WORK = workspace("price-watch")


class Supplier(BaseHTTPRequestHandler):
    """The supplier's service; `answered` decides which version of it is live."""

    answered = 0

    def do_GET(self) -> None:
        Supplier.answered += 1
        cents = random.Random(self.path).randrange(200, 9_000) + Supplier.answered % 7
        old = Supplier.answered <= OLD_SHAPE_FOR
        shape: dict[str, Any] = {"price": f"{cents / 100:.2f}"} if old else {"amount": {"cents": cents}}
        body = json.dumps({"article": self.path.strip("/"), **shape}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The supplier keeps its log to itself."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Supplier)
agent = Agent(
    "price-watch",
    instructions="Keep prices.csv current. Never write a price that the supplier did not state.",
    memory={"rounds": 0, "cents_at": "price"},
    workspace=WORK,
    about="Watches supplier prices for purchasing",
    owner="purchasing",
    while_paused="the shop shows yesterday's prices; fine until noon",
)


def get_price(article: str) -> int:
    """The article's price in cents, read where the memory says it stands."""
    with urlopen(f"http://127.0.0.1:{server.server_port}/{article}", timeout=5) as answer:
        found = json.load(answer)
    if agent.memory["cents_at"] == "amount.cents":
        return int(found["amount"]["cents"])
    return round(float(found["price"]) * 100)


def write_price(article: str, cents: int) -> int:
    """Write one row of prices.csv and return how many rows it has now."""
    path = WORK / "prices.csv"
    rows = dict(csv.reader(path.read_text().splitlines())) if path.exists() else {}
    rows[article] = f"{cents / 100:.2f}"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(sorted(rows.items()))
    return len(rows)


def step(run: Run) -> None:
    """One article: look it up, check it, write it down."""
    if run.guidance and "amount.cents" in run.guidance:
        agent.memory["cents_at"] = "amount.cents"
    article = ARTICLES[agent.memory["rounds"] % len(ARTICLES)]
    cents = run.execute(
        get_price,
        article,
        expected="a price between 1 and 100 euros",
        verify=lambda cents: 100 <= cents <= 10_000,
    )
    run.execute(write_price, article, cents, expected="a row for the article", verify=lambda rows: rows >= 1)
    agent.memory["rounds"] += 1
    if agent.memory["rounds"] % len(ARTICLES) == 0:
        run.checkpoint("every price was looked up")
    rest()


if __name__ == "__main__":
    threading.Thread(target=server.serve_forever, daemon=True).start()
    agent.supervise(step)
