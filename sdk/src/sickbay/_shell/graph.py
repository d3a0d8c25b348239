"""Which checkpoint came after which, drawn beside a list whose newest is first.

A column is a line of descent: it waits for the parent of the last one drawn in it. Where several wait for the
same, a rollback went back to it, and they join there.
"""

from __future__ import annotations

from sickbay._shell.told import Checkpoint

WIDEST = 20


class Graph:
    def __init__(self) -> None:
        self._columns: list[str | None] = []
        self._at = 0

    def before(self, one: Checkpoint) -> list[str]:
        """The lines in which columns join, and `one` takes its place."""
        waiting = [n for n, id in enumerate(self._columns) if id == one.id]
        lines = [self._join(waiting[0], n) for n in reversed(waiting[1:])]
        for n in reversed(waiting[1:]):
            del self._columns[n]
        while self._columns and self._columns[-1] is None:
            self._columns.pop()
        if waiting:
            self._at = waiting[0]
        else:
            free = (n for n, id in enumerate(self._columns) if id is None)
            self._at = next(free, len(self._columns))
            self._columns[self._at : self._at + 1] = [one.id]
        self._columns[self._at] = one.parent
        return lines

    def row(self) -> str:
        """What stands before the checkpoint's own line."""
        return self._drawn({self._at: "*"})

    def beside(self) -> str:
        """What stands before its other lines."""
        return self._drawn({})

    def _drawn(self, marks: dict[int, str]) -> str:
        said = [marks.get(n, " " if id is None else "|") for n, id in enumerate(self._columns)]
        while len(said) > 1 and said[-1] == " ":
            said.pop()
        return " ".join(said[:WIDEST]) + " "

    def _join(self, to: int, column: int) -> str:
        said: list[str] = []
        for n, id in enumerate(self._columns):
            if n == column:
                said[-1] = said[-1][:-1] + "/"
                said.append("  ")
            else:
                mark = " " if id is None else "|"
                said.append(mark + ("_" if to <= n < column - 1 else " "))
        return "".join(said).rstrip()
