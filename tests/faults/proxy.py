"""A TCP proxy that misbehaves on demand, in a thread of its own.

with Proxy(("127.0.0.1", 8000)) as proxy:
    proxy.drop_answers = 1     # the next answer is lost: it was done, but the caller is told it failed
    proxy.duplicate = 1        # the next connection's bytes reach the server twice
    proxy.cut_after = 10_000   # each connection dies after so many bytes of a request
    proxy.delay, proxy.trickle, proxy.refuse = 0.05, True, True
    proxy.cut()                # every connection dies now
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Self


class Proxy:
    """Listens on a free port of 127.0.0.1 (`port`, `url`) in front of `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.delay = 0.0
        self.trickle = self.refuse = False
        self.drop_answers = self.duplicate = 0
        self.cut_after: int | None = None
        self.connections = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        self._do(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        self._do(self._cut())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _finish(self) -> None:
        """Let every connection end by itself: a cancelled one would complain in the log."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=0.1)
            await self._cut()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            writer.transport.abort()
            return
        twice, self.duplicate = self.duplicate > 0, max(0, self.duplicate - 1)
        sent = bytearray()
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection(*self.target)
            pair = {writer, up_writer}
            self._open |= pair
            try:
                asking = self._pump(reader, up_writer, sent)
                await asyncio.gather(asking, self._pump(up_reader, writer, None), return_exceptions=True)
            finally:
                self._open -= pair
                for each in pair:
                    each.transport.abort()
                if twice:
                    await self._again(bytes(sent))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytearray | None
    ) -> None:
        """One direction; `sent` gathers a request's bytes and is None for answers."""
        while piece := await reader.read(1 if self.trickle else 65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            if sent is None and self.drop_answers > 0:
                self.drop_answers -= 1
                break
            if sent is not None:
                sent += piece
                if self.cut_after is not None and len(sent) > self.cut_after:
                    writer.write(piece[: len(piece) // 2])
                    break
            writer.write(piece)
            await writer.drain()
        for each in list(self._open & {writer}):
            each.transport.abort() if sent is None or self.cut_after else each.write_eof()

    async def _again(self, request: bytes) -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*self.target)
            self._open.add(writer)
            writer.write(request)
            await reader.read(1)
            writer.transport.abort()
            self._open.discard(writer)
