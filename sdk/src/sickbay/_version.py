"""The version that the server is told."""

from __future__ import annotations

__version__ = "0.1.0"
