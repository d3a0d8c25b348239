"""`python -m sickbay` is `sickbay`."""

from __future__ import annotations

from sickbay._cli import main

raise SystemExit(main())
