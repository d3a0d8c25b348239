"""The commands of `sickbay`, one module each; `_cli` knows their names and imports what was asked for.

A command module has `arguments(parser)`, which says what it takes, and `run(given)`, which answers the exit
code. What a server said is printed through terminal.Screen alone, which makes it safe.
"""
