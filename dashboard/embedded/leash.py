"""Runs a program that dies with its parent: `python -I -S leash.py PARENT USER SIGNAL program args…`.

A supervisor that is killed with -9 stops nobody, so each child carries its own end. On Linux the kernel
sends SIGNAL when the parent dies, and the program replaces this one. Elsewhere this process stays, passes
signals on and looks twice a second whether its parent is still there. As root, USER is who the program
runs as (`-` for no change): Postgres refuses root. Nothing but the standard library: it starts in 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def become(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME="/", USER=user, LOGNAME=user)


def die_with_parent(parent: int, number: int) -> None:
    """Must come after the change of user, which clears the death signal."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died between the fork and the line above
        sys.exit(1)


def watch(parent: int, number: int, command: list[str]) -> int:
    child = subprocess.Popen(command)
    for forwarded in FORWARDED:
        signal.signal(forwarded, lambda received, _frame: child.send_signal(received))
    while True:
        try:
            return child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.send_signal(number)
                return child.wait()


def main(arguments: list[str]) -> int:
    parent, user, number, command = int(arguments[0]), arguments[1], int(arguments[2]), arguments[3:]
    os.umask(0o077)
    if user != "-":
        become(user)
    if sys.platform != "linux" or os.environ.get("SICKBAY_LEASH") == "watch":
        return watch(parent, number, command)
    die_with_parent(parent, number)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
