from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from dashboard.views.design import design
from dashboard.views.theme import choose as choose_theme

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("theme/", choose_theme, name="theme"),
    path("design/", design, name="design"),
]
