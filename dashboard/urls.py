from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from dashboard import health
from dashboard.views.design import design
from dashboard.views.first_admin import first_admin
from dashboard.views.theme import choose as choose_theme

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("welcome/<str:secret>/", first_admin, name="first_admin"),
    path("accounts/", include("allauth.urls")),
    path("theme/", choose_theme, name="theme"),
    path("design/", design, name="design"),
]
