"""Sickbay: an immune system for AI agents."""
