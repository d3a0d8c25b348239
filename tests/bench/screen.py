"""How soon a screen shows what happened: `uv run python -m tests.bench.screen`.

Bounds: click on Pause → the agent's confirmation on the screen: p99 ≤ 500 ms at a safe point. Failure in the
agent → visible in an open browser: p50 ≤ 500 ms. Real product, real agent with the SDK, real Chromium. The
page notes by itself, in its own clock, when it was clicked and when the words stood there; browser and agent
are on this machine. The floor, in the same run: one fragment asked for and answered.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
from playwright.sync_api import Page, sync_playwright

from tests.bench import ground
from tests.product import Product, running_product
from tests.waiting import slowness, until

FAILURES = PAUSES = int(os.environ.get("TIMES", "40"))
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NOTING = """
(() => {
  const seen = (name) => sessionStorage.getItem(name) ?? sessionStorage.setItem(name, Date.now());
  const look = () => {
    const status = document.querySelector("#agent-status")?.textContent ?? "";
    const entries = document.querySelector("#entries")?.textContent ?? "";
    if (/paused/i.test(status)) seen("paused");
    for (const [, n] of entries.matchAll(/broken (\\d+)\\./g)) seen(`failure-${n}`);
  };
  document.addEventListener("submit", () => {
    sessionStorage.removeItem("paused");
    sessionStorage.setItem("clicked", Date.now());
  }, true);
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
})();
"""
FETCH = """
async () => {
  const began = performance.now();
  await (await fetch(location.pathname + "head/")).text();
  return performance.now() - began;
}
"""


class Bench:
    """The product, its agent's process and an open page."""

    def __init__(self, product: Product, process: subprocess.Popen[str], page: Page) -> None:
        self.product, self.process, self.page = product, process, page
        self.operator = {"Authorization": f"Bearer {product.token('operator')}"}

    def ask(self, method: str, path: str, **said: Any) -> Any:
        address = f"{self.product.url}/api/v1/{path}"
        return urllib3.request(
            method, address, headers=self.operator, **({"json": said} if said else {})
        ).json()

    def noted(self, name: str) -> float:
        """When the page saw it, in seconds since the epoch; 0 while it has not."""
        return float(self.page.evaluate("name => sessionStorage.getItem(name)", name) or 0) / 1000

    def failure(self, number: int) -> float:
        """Seconds from the failure in the agent until it stood on the screen."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"fail {number}\n")
        self.process.stdin.flush()
        began = float(self.process.stdout.readline().split()[2])
        return until(lambda: self.noted(f"failure-{number}"), 20, f"failure {number}", every=0.1) - began

    def pause(self) -> float:
        """Seconds from the click until the agent's own confirmation stood on the screen."""
        page = self.page
        page.click("#agent-step[data-opens=pause-dialog]")
        page.click("#pause-reasons .chip >> nth=0")
        page.click("#pause-dialog .dialog-foot button")
        took = until(lambda: self.noted("paused"), 20, "the pause", every=0.1) - self.noted("clicked")
        incident = self.ask("GET", "incidents/?state=open")["incidents"][0]
        said = {"decision": "resume", "version": incident["version"], "reason": "go on"}
        self.ask("POST", f"incidents/{incident['id']}/decide/", **said)
        until(lambda: self.ask("GET", "agents/bench/")["status"] in ("running", "probation"), 20, "the agent")
        page.goto(page.url)
        page.locator("[data-live-indicator][data-state=live]").wait_for()
        return took

    def fragment(self) -> float:
        """The floor: a round trip for the region that changes."""
        return float(self.page.evaluate(FETCH)) / 1000


@contextlib.contextmanager
def agent_of(product: Product) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ,
            "SICKBAY_URL": product.url,
            "SICKBAY_TOKEN": product.token("agent"),
            "SICKBAY_HOME": home,
        }
        command = [sys.executable, str(Path(__file__).with_name("screen_agent.py"))]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@contextlib.contextmanager
def open_page(product: Product) -> Iterator[Page]:
    """The agent's page of a signed-in administrator, live."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(product.sign_in_link())
        page.fill("[name=email]", "alice@example.com")
        page.fill("[name=password]", "a long enough one")
        page.click("main button")
        page.add_init_script(NOTING)
        page.goto(f"{product.url}/p/main/agents/bench/")
        page.locator("[data-live-indicator][data-state=live]").wait_for()
        yield page
        browser.close()


def main() -> None:
    with running_product() as product, agent_of(product) as process:
        until(lambda: product.answers("/readyz?all"), 120, "everything")
        bench = Bench(product, process, None)  # type: ignore[arg-type]
        until(lambda: bench.ask("GET", "agents/bench/").get("status") == "running", 30, "the agent")
        with open_page(product) as page:
            bench.page = page
            began = time.monotonic()
            taken = {
                "a fragment (floor)": [bench.fragment() for _ in range(FAILURES)],
                "failure → visible": [bench.failure(number) for number in range(FAILURES)],
                "click → paused": [bench.pause() for _ in range(PAUSES)],
            }
    rows: list[tuple[Any, ...]] = [("what", "times", "p50 ms", "p90 ms", "p99 ms", "most ms")]
    for name, took in taken.items():
        parts = [ground.percentile(took, part) * 1000 for part in (0.5, 0.9, 0.99, 1.0)]
        rows.append((name, len(took), *parts))
    ground.table(f"What a screen shows, {time.monotonic() - began:.0f} s", rows)
    print(f"\n  this machine is {slowness():.1f} times as slow as a calm one now")
    print("  wanted: failure → visible p50 ≤ 500 ms, click → paused p99 ≤ 500 ms")


if __name__ == "__main__":
    main()
