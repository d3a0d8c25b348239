"""Whom the embedded servers run as when we are root: Postgres refuses to run as root, rightly.

The wheel's own user (`pgserver`) is used, and made when it is missing. That user must be able to walk to
the data and to the binaries, so directories on the way that nobody else may enter get the search bit (`o+x`:
entering by a known name, not listing). The data itself stays closed: 0700, owned by that user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

NAME = "pgserver"


def user() -> str:
    """Who to run as: `-` means as we are."""
    if os.geteuid() != 0:
        return "-"
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        shell = shutil.which("nologin") or "/bin/false"
        subprocess.run(["useradd", "--system", "--shell", shell, NAME], check=True, capture_output=True)
    return NAME


def private_directory(path: Path, owner: str) -> None:
    """Makes `path` 0700 for `owner`, and reachable by that user."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    if owner != "-":
        entry = pwd.getpwnam(owner)
        os.chown(path, entry.pw_uid, entry.pw_gid)
        open_the_way(path)


def open_the_way(path: Path) -> None:
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def private_file(path: Path, text: str, owner: str = "-") -> None:
    """Writes `text` so that there is never a moment when another user could read it."""
    partial = path.with_name(path.name + ".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if owner != "-":
        entry = pwd.getpwnam(owner)
        os.chown(partial, entry.pw_uid, entry.pw_gid)
    partial.replace(path)
