"""`{{ text|said }}` for whatever an agent or a person wrote; `{{ text|plain }}` inside attributes."""

from __future__ import annotations

from django import template

from dashboard import unseen

register = template.Library()
register.filter("said", unseen.said, is_safe=True)
register.filter("plain", unseen.plain)
register.filter("named", unseen.named, is_safe=True)
register.filter("plain_name", unseen.plain_name)
