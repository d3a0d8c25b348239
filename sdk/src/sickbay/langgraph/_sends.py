"""The codec of a graph's state: what `sickbay.memory` knows, and LangGraph's `Send`."""

from __future__ import annotations

from typing import Any

from langgraph.types import Send

from sickbay.memory import KIND, OF, Codec


class GraphCodec(Codec):
    """Tasks that wait to be sent are a part of the state."""

    def _of_model(self, value: Any, kind: type) -> Any:
        if kind is Send:
            return {KIND: "send", OF: [value.node, self.encode(value.arg)]}
        return super()._of_model(value, kind)

    def _made(self, kind: Any, said: dict[str, Any]) -> Any:
        if kind == "send":
            node, arg = said[OF]
            return Send(node, self.decode(arg))
        return super()._made(kind, said)
