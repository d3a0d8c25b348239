"""Reading tokens: what stands about them, never what they are."""

from __future__ import annotations

from django.db.models import F

from agents.models import Token


def of_project(project_id: int, *, most: int = 200) -> list[Token]:
    """Tokens that work first, then the rest, the newest of each first."""
    rows = Token.objects.filter(project_id=project_id).select_related("created_by").defer("digest")
    return list(rows.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")[:most])
