"""Holds a program and all that it starts, so that nothing outlives `sickbay watch`, however that dies.

    python -I -S leash.py LIFELINE STATUS GRACE STOP program args…

The program has a process group of its own, to which signals are passed on. LIFELINE is a pipe that the
watcher's death closes: the group then gets STOP and, after GRACE seconds, SIGKILL; a byte in it is SIGKILL
at once. STATUS is told `pid N` or, when it cannot be started, `error ERRNO`; and `end STATUS`, as waitpid has
it, when it has ended and nothing that it left is there any more. Nothing but the standard library is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
FORWARDED = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")
]
LEFT = 2.0  # seconds that what the program left behind has to end


def main(arguments: list[str]) -> int:
    lifeline, status, stop = (int(arguments[place]) for place in (0, 1, 3))
    grace, command = float(arguments[2]), arguments[4:]
    for ours in (lifeline, status):
        os.set_inheritable(ours, False)
    control(PR_SET_CHILD_SUBREAPER, 1)
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child, wrong = start(command)
    if wrong:
        tell(status, f"error {wrong}")
        return 127
    for number in FORWARDED:
        signal.signal(number, lambda received, _: send(child, received))
    release()
    tell(status, f"pid {child}")
    ended = None
    while ended is None:
        ready, _, _ = select.select([lifeline, heard], [], [], 5.0)
        if heard in ready:
            os.read(heard, 4096)
        if lifeline in ready:
            if os.read(lifeline, 1) == b"":
                end(child, stop, grace)
                return 0
            send(child, signal.SIGKILL)
        ended = reap(child)
    end(child, signal.SIGTERM, LEFT)
    tell(status, f"end {ended}")
    return 0


def start(command: list[str]) -> tuple[int, int]:
    """Fork and replace; the child dies with this process. Its pid, and why it could not be replaced."""
    parent = os.getpid()
    said, says = os.pipe()  # closed by what takes the child's place
    child = os.fork()
    if child:
        os.close(says)
        return child, int(os.read(said, 20) or 0)
    try:
        os.setpgid(0, 0)
        control(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (*FORWARDED, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(says, str(error.errno).encode())
    os._exit(127)


def control(option: int, value: int) -> None:
    """prctl; elsewhere than on Linux the lifeline alone has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)


def release() -> None:
    """The program alone holds its input and output, so that their end is its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


def send(child: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child, number)


def reap(child: int) -> int | None:
    """Bury all that has ended; the child's status when it was among them."""
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == child:
            ended = status


def end(child: int, number: int, grace: float) -> None:
    """Nothing of the group, and nothing that left it, is there afterwards."""
    deadline = time.monotonic() + grace
    first = True
    while True:
        reap(child)
        others = adopted()
        if not others and not is_there(child):
            return
        late = time.monotonic() >= deadline
        if first or late:
            send(child, signal.SIGKILL if late else number)
            for other in others:
                with contextlib.suppress(OSError):
                    os.kill(other, signal.SIGKILL if late else number)
        if late and time.monotonic() >= deadline + 5.0:
            return
        first = False
        time.sleep(0.02)


def is_there(child: int) -> bool:
    try:
        os.killpg(child, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def adopted() -> list[int]:
    """What became this process's child when its own parent died, wherever it had gone."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except (OSError, ValueError):
        return []


def tell(status: int, words: str) -> None:
    with contextlib.suppress(OSError):
        os.write(status, f"{words}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
