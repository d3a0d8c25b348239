"""Checkpoints in the API. Include them before agents.urls: the operators' routes there are counted once."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from agents.api.documented import AGENTS_ROUTES
from checkpoints.api import bisecting as bisecting
from checkpoints.api import contents as contents
from checkpoints.api import documented, door, restoring
from checkpoints.api import operators as operators
from checkpoints.api import rolling as rolling
from checkpoints.api import since as since
from checkpoints.api import watching as watching

AGENTS_ROUTES.update(documented.ROUTES)
AGENT = "api/v1/agents/<str:agent>/"
HERE = f"{AGENT}checkpoints/"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{HERE}missing/", door.missing, name="checkpoint_missing"),
    path(f"{HERE}nodes/", door.nodes, name="checkpoint_nodes"),
    path(f"{HERE}read/", door.read, name="checkpoint_read"),
    path(f"{HERE}newest/", door.newest, name="checkpoint_newest"),
    path(f"{HERE}<uuid:id>/", door.one, name="checkpoint_one"),
    path(f"{AGENT}rollbacks/<uuid:id>/progress/", restoring.progress, name="rollback_progress"),
    path(f"{AGENT}edits/", restoring.edits, name="hand_edits"),
]
