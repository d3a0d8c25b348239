"""What templates say in one word: an icon, a file with its version, a time, a mark, a page of the project.

Everything here is a function of its arguments; only `top_bar`, `theme` and `lacking` look at the request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.contrib.staticfiles import finders
from django.forms import BoundField
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard import anew, drawing, marks, phrasing, shell

register = template.Library()
NO_TIME = mark_safe("&ndash;")


@cache
def _manifest() -> dict[str, str]:
    packages = json.loads((settings.BASE_DIR / "static" / "vendor" / "manifest.json").read_text())
    return {package["name"]: package["folder"] for package in packages}


@cache
def _stamp(path: str) -> str:
    found = finders.find(path)
    if not isinstance(found, str):
        raise template.TemplateSyntaxError(f"static/{path} is not there")
    with open(found, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:10]


@register.simple_tag
def asset(path: str) -> str:
    """The address of a file of ours, with its content's mark, so that a new one is fetched at once."""
    return f"{static(path)}?v={_stamp(path)}"


@register.simple_tag
def vendor(path: str) -> str:
    """The address of a vendored file: `htmx/htmx.min.js` → `/static/vendor/htmx-2.0.11/htmx.min.js`."""
    name, _, file = path.partition("/")
    return static(f"vendor/{_manifest()[name]}/{file}")


@cache
def _sprite() -> str:
    folder = _manifest()["lucide"]
    return f"{static(f'vendor/{folder}/sprite.svg')}?v={_stamp(f'vendor/{folder}/sprite.svg')}"


@register.simple_tag(name="icon")
@cache
def icon(name: str, extra: str = "") -> SafeString:
    """A lucide icon. It says nothing to a screen reader: the word beside it does."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        _sprite(),
        name,
    )


@register.filter
def status_mark(status: str) -> marks.Mark:
    return marks.STATUS[status]


@register.filter
def kind_mark(kind: str) -> marks.Mark:
    return marks.KIND[kind]


@register.simple_tag
def outcome_mark(outcome: str, words: str = "") -> marks.Mark:
    return marks.outcome_mark(outcome, words)


@register.filter
def banner_mark(tone: str) -> marks.Mark:
    return marks.BANNER.get(tone, marks.BANNER["info"])


@register.simple_tag(name="bars_drawn")
@lru_cache(maxsize=4096)
def bars_drawn(text: str) -> SafeString:
    """The bars of an hour, drawn once for each text: a page of a hundred agents has few that are new."""
    return render_to_string("partials/ui/drawn/bars.html", {"drawn": drawing.hour_bars(text)})


@register.simple_tag(name="gauge_drawn")
@lru_cache(maxsize=4096)
def gauge_drawn(
    consecutive: int, max_consecutive: int, hourly: int, max_hourly: int, in_words: bool | str
) -> SafeString:
    """A budget, drawn once for each four numbers."""
    drawn = drawing.gauge(consecutive, max_consecutive, hourly, max_hourly)
    return render_to_string("partials/ui/drawn/gauge.html", {"gauge": drawn, "in_words": in_words})


@register.simple_tag
@lru_cache(maxsize=64)
def status_drawn(status: str) -> SafeString:
    return render_to_string("partials/ui/status.html", {"status": status})


@register.simple_tag
@lru_cache(maxsize=64)
def standing_drawn(standing: str, words: str) -> SafeString:
    return render_to_string("partials/ui/standing.html", {"standing": standing, "words": words})


@register.filter
def share(percent: float, width: int = 40) -> float:
    return drawing.share(percent, width)


@register.filter
def styled(field: BoundField) -> SafeString:
    """A form's field as our input: labelled, so without a placeholder, and marked when it is wrong."""
    attrs: dict[str, Any] = {"class": "input", "placeholder": False}
    if field.errors:
        attrs |= {"aria-invalid": "true", "aria-describedby": f"{field.auto_id}_error"}
    return field.as_widget(attrs=attrs)


@register.filter
def took(seconds: float) -> str:
    return phrasing.took(seconds)


FORMS: dict[str, Callable[[datetime, datetime], str]] = {
    "age": lambda at, now: phrasing.age((now - at).total_seconds()),
    "ago": lambda at, now: phrasing.age((now - at).total_seconds()) + " ago",
    "clock": lambda at, now: phrasing.clock(at),
    "minute": lambda at, now: phrasing.minute(at),
    "day": phrasing.day,
}


@register.simple_tag
def when(at: datetime | None, form: str = "age", now: datetime | None = None) -> SafeString:
    """A `<time>` that times.js keeps true, in one of FORMS; a dash where there is no time.

    All of it is our own words and digits, so nothing is left to escape.
    """
    if not at:
        return NO_TIME
    words = FORMS[form](at, now or timezone.now())
    return mark_safe(
        f'<time datetime="{phrasing.iso(at)}" title="{phrasing.exact(at)}" data-form="{form}">{words}</time>'
    )


@register.simple_tag
def sign_in_by() -> str:
    """What the OpenID provider is called here; nothing where there is none."""
    return str(settings.OIDC_NAME)


@register.simple_tag
def maybe_url(name: str, *args: Any) -> str:
    """The address, or nothing where no such page exists."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    return shell.theme_of(context.get("request"))


@register.simple_tag(takes_context=True)
def top_bar(context: template.Context) -> shell.TopBar:
    return shell.top_bar(context.get("request"), context.get("project"))


@register.simple_tag(takes_context=True)
def lacking(context: dict[str, Any]) -> str:
    """Why this person's changes of tokens, people and channels will be refused; empty when they are not."""
    return anew.lacking(context["request"])
