"""What stands around every page: its theme, the pages of the project, who is signed in.

The theme is a cookie that the server writes into `<html data-theme>`, so that no page flashes white at
3 am and no script has to run first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from agents.models import AlertTarget, Incident, IncidentState, Project
from agents.queries import metrics, targets

THEME_COOKIE = "theme"
THEMES = ("system", "dark", "light")
PAGES = (
    ("fleet", "Fleet", "g f"),
    ("incidents", "Incidents", "g i"),
    ("alerts", "Alerts", ""),
    ("audit", "Audit", ""),
    ("tokens", "Access", ""),
)
# Pages that stand under the word of another one.
PARTS = {"incidents": ("shift",), "alerts": ("on_call", "ways"), "tokens": ("people",)}


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    word: str
    address: str
    key: str
    current: bool


@dataclass(frozen=True, slots=True)
class TopBar:
    project: Project | None
    projects: Sequence[Project]
    pages: list[Page]
    waiting: int
    signed_in: bool
    alerts_late: datetime | None = None
    broken: AlertTarget | None = None


def theme_of(request: HttpRequest | None) -> str:
    chosen = request.COOKIES.get(THEME_COOKIE, "") if request else ""
    return chosen if chosen in THEMES else "system"


def _pages(project: Project, here: str) -> list[Page]:
    pages = []
    for name, word, key in PAGES:
        try:
            address = reverse(name, args=[project.name])
        except NoReverseMatch:
            continue
        below = (address, *(reverse(part, args=[project.name]) for part in PARTS.get(name, ())))
        inside = here == address or (name != "fleet" and here.startswith(below))
        pages.append(Page(name, word, address, key, inside))
    if pages and pages[0].name == "fleet" and not any(page.current for page in pages):
        first = pages[0]
        pages[0] = Page(first.name, first.word, first.address, first.key, here.startswith(first.address))
    return pages


def projects_of(request: HttpRequest) -> Sequence[Project]:
    """The projects that the signed-in person may enter, by name."""
    user = request.user
    if not user.is_authenticated:
        return []
    if user.is_superuser:
        return list(Project.objects.order_by("name"))
    return list(Project.objects.filter(memberships__user=user).order_by("name"))


def waiting(project: Project) -> int:
    """Incidents that nobody has decided yet."""
    return Incident.objects.filter(
        project=project, state__in=[IncidentState.OPEN, IncidentState.ACKNOWLEDGED]
    ).count()


def top_bar(request: HttpRequest | None, project: Project | None) -> TopBar:
    """The bar's facts; without a request (an error page) only the mark is shown."""
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_authenticated:
        return TopBar(None, [], [], 0, signed_in=False)
    projects = projects_of(request)
    project = project or getattr(request, "project", None) or next(iter(projects), None)
    if project is None:
        return TopBar(None, projects, [], 0, signed_in=True)
    late = metrics.alerts_late_since(project.pk, timezone.now())
    broken = targets.broken(project.pk)
    pages = _pages(project, request.path)
    return TopBar(project, projects, pages, waiting(project), True, alerts_late=late, broken=broken)
