"""A memory's text from nodes that somebody else sent: only when it is the one text of the one tree."""

from __future__ import annotations

from sickbay.tree.grow import grow
from sickbay.tree.node import BadNode
from sickbay.tree.read import Fetch, text_of
from sickbay.tree.text import BadText, is_canonical, load


def proven_text(root: bytes, fetch: Fetch) -> bytes:
    """The text of a memory; BadNode unless its parts are canonical JSON together, and its tree their own.

    Nodes that are spelled right by themselves may still hold one key twice, or a string in another spelling;
    and a tree that its text does not make can never be proven by taking the state again.
    """
    text = text_of(root, fetch)
    if not is_canonical(text):
        raise BadNode(f"the memory's text is not canonical JSON: {_why(text)}")
    if grow(text).root != root:
        raise BadNode("the memory's nodes are not those that its text makes")
    return text


def _why(text: bytes) -> str:
    try:
        load(text)
    except BadText as wrong:
        return str(wrong)
    return "it is spelled otherwise"
