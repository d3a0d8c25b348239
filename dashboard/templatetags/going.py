"""What every line of the timeline has: `<a {% goes href %}>`, a link that moves only the region where scripts
run, and the two cells whose few values are drawn once for all lines (an include for each costs a page half
of its time)."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def goes(href: str, show: str = "") -> SafeString:
    """The attributes; `show` names what is scrolled to afterwards."""
    swap = f"morph:outerHTML show:{show}:top" if show else "morph:outerHTML"
    return format_html(
        'href="{0}" hx-get="{0}" hx-target="#timeline" hx-swap="{1}" hx-push-url="true"', href, swap
    )


@register.simple_tag
@lru_cache(maxsize=64)
def kind_cell(kind: str) -> SafeString:
    return render_to_string("partials/ui/kind.html", {"kind": kind})


@register.simple_tag
@lru_cache(maxsize=512)
def outcome_cell(outcome: str) -> SafeString:
    return render_to_string("partials/ui/outcome.html", {"outcome": outcome})
