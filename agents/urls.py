"""The API. Agents' own routes first; the operators' are django-ninja's (api/operators)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from agents.api import events, receipts, register
from agents.api.operators import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/agents/register/", register.register, name="register"),
    path("api/v1/events/", events.events, name="events"),
    path("api/v1/agents/<str:agent>/commands/", receipts.waiting, name="commands"),
    path("api/v1/agents/<str:agent>/commands/<uuid:command>/", receipts.receipt, name="receipt"),
    path("api/v1/", api.urls),
]
