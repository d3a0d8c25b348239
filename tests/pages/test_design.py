"""The design page shows every component, under the policy that every page lives under."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from agents.models import Status, User
from dashboard.marks import STATUS

ROOT = Path(settings.BASE_DIR)
STATIC = ROOT / "static"
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals=.js:")


@pytest.fixture
def page(client: Client, alice: User) -> str:
    client.force_login(alice)
    answer = client.get("/design/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_design_page_is_for_those_who_signed_in(client: Client, db: None) -> None:
    """A stranger is sent to the door."""
    answer = client.get("/design/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/design/")


def test_every_status_is_shown_with_its_icon_and_word(page: str) -> None:
    """A status that was added without a look fails here."""
    for status in Status.values:
        assert f"#{STATUS[status].icon}" in page and f"<span>{STATUS[status].word}</span>" in page


def test_every_component_is_on_the_page() -> None:
    """A partial that no one can look at does not exist."""
    shown = "".join(file.read_text() for file in (ROOT / "templates" / "design").glob("*.html"))
    inside = "".join(file.read_text() for file in (ROOT / "templates" / "partials" / "ui").glob("*.html"))
    for partial in (ROOT / "templates" / "partials" / "ui").glob("*.html"):
        assert f"partials/ui/{partial.name}" in shown + inside, partial.name


def test_every_component_has_one_root_element() -> None:
    """What is morphed is one element, so what is included is one too."""
    tag = re.compile(r"<(/?)([a-z0-9]+)\b[^>]*?(/?)>")
    for partial in (ROOT / "templates" / "partials" / "ui").glob("*.html"):
        depth, roots = 0, 0
        for closing, name, self_closing in tag.findall(
            re.sub(r"\{%.*?%\}", "", partial.read_text(), flags=re.S)
        ):
            if closing:
                depth -= 1
                continue
            roots += depth == 0
            depth += not self_closing and name not in {"input", "hr", "img"}
        assert (roots, depth) == (1, 0), partial.name


@pytest.mark.parametrize(
    "address", ["/design/", "/accounts/password/change/", "/accounts/2fa/", "/not-there/"]
)
def test_nothing_is_inline(client: Client, alice: User, address: str) -> None:
    """The policy forbids inline scripts, styles and handlers, so no page has one."""
    client.force_login(alice)
    answer = client.get(address)
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert INLINE.findall(answer.content.decode()) == []


def test_every_icon_of_the_page_is_in_the_sprite(page: str) -> None:
    """An icon that was never copied would be a hole."""
    sprite = next(STATIC.glob("vendor/lucide-*/sprite.svg")).read_text()
    named = set(re.findall(r'<use href="[^"#]+#([^"]+)"', page))
    assert named and named <= set(re.findall(r'<symbol id="([^"]+)"', sprite))


def test_what_was_vendored_is_what_was_committed() -> None:
    """Files of others are copied, never edited, and only icons in use are in the sprite."""
    answer = vendor_check(ROOT)
    assert answer.returncode == 0, answer.stderr


def edited(root: Path) -> None:
    file = next(root.glob("static/vendor/htmx-*/htmx.min.js"))
    file.write_bytes(file.read_bytes() + b" ")


def upgraded(root: Path) -> None:
    lock = json.loads((root / "package-lock.json").read_text())
    lock["packages"]["node_modules/idiomorph"]["version"] = "9.9.9"
    (root / "package-lock.json").write_text(json.dumps(lock))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (edited, "htmx.min.js"),
        (lambda root: (root / "static/vendor/more.js").write_text("more()"), "more.js"),
        (lambda root: next(root.glob("static/vendor/inter-*/inter.woff2")).unlink(), "inter.woff2"),
        (upgraded, "version of idiomorph"),
        (lambda root: (root / "templates/new.html").write_text('{% icon "zap-off" %}'), "icon zap-off"),
    ],
    ids=["edited", "added", "removed", "upgraded", "unused icon"],
)
def test_what_differs_from_what_was_vendored_is_named(
    tmp_path: Path, change: Callable[[Path], object], named: str
) -> None:
    """An edit, a file too many or too few, a version that was not copied, a missing icon: each is named."""
    for folder in ("static/vendor", "scripts", "templates", "dashboard"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "package-lock.json", tmp_path)
    change(tmp_path)
    answer = vendor_check(tmp_path)
    assert answer.returncode == 1 and named in answer.stderr, answer.stderr


def vendor_check(root: Path) -> subprocess.CompletedProcess[str]:
    check = [sys.executable, str(root / "scripts" / "vendor.py"), "--check"]
    return subprocess.run(check, capture_output=True, text=True)


def test_every_file_that_a_style_names_is_there() -> None:
    """A new version of a font moves its folder; the style must move with it."""
    for style in STATIC.glob("css/**/*.css"):
        for file in re.findall(r'url\("([^"]+)"\)', style.read_text()):
            assert (style.parent / file).is_file(), f"{style.name} names {file}"


def test_every_style_is_in_a_layer() -> None:
    """Order is decided by layers, not by who was linked last."""
    for style in STATIC.glob("css/**/*.css"):
        bare = re.sub(r"/\*.*?\*/|@font-face \{.*?\}|@layer [a-z, ]+;", "", style.read_text(), flags=re.S)
        assert re.match(r"\s*@layer [a-z]+ \{", bare), style.name
