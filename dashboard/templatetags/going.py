"""`<a {% goes href %}>`: a link of the timeline. Where scripts run, only the region moves."""

from __future__ import annotations

from django import template
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
