#!/usr/bin/env python3
"""Sickbay's command line: `uv run manage.py up` starts everything, `help` lists the rest.

`--data DIR` may stand with any command and is read here, because the settings depend on it. `up` never
loads Django: it starts what Django needs, and stays small beside it.
"""

from __future__ import annotations

import gc
import os
import sys

ASKING = ("audit", "invite", "project", "retain", "signin", "token", "verify")


def take_data_option(arguments: list[str]) -> list[str]:
    """The arguments without `--data DIR`, which becomes SICKBAY_DATA."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--data":
            value = next(rest, None)
        elif argument.startswith("--data="):
            value = argument.removeprefix("--data=")
        else:
            kept.append(argument)
            continue
        if not value:
            sys.exit("--data needs a directory: --data DIR")
        os.environ["SICKBAY_DATA"] = os.path.abspath(os.path.expanduser(value))
    return kept


def refuse_missing_data(command: str) -> None:
    """What only asks makes no directory out of a misspelt one; `up` makes it, and what serves."""
    data = os.environ.get("SICKBAY_DATA")
    if command in ASKING and data and not os.environ.get("SICKBAY_DATABASE_URL") and not os.path.isdir(data):
        sys.exit(
            f"There is no data directory {data}: start Sickbay on it (manage.py up), "
            "or name another with --data DIR or SICKBAY_DATA."
        )


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    arguments = take_data_option(sys.argv)
    if arguments[1:2] == ["up"]:
        from dashboard.embedded.up import main as up

        sys.exit(up(arguments[2:]))
    if arguments[1:2] == ["serve"]:
        gc.disable()  # loading makes little garbage; a killed server is back a tenth of a second sooner
    refuse_missing_data("".join(arguments[1:2]))
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(arguments)
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
