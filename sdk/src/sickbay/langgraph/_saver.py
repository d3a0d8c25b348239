"""A saver around yours: everything is stored there, and the agent's memory learns of it.

What is asked for without a checkpoint's id is the state that the agent is in. As a rule that is your saver's
newest checkpoint. After a rollback it is the one that the memory then names: a copy of it, of the same
parent, is put on top of the thread under a new id, so that your saver's newest one is the right one again,
for whoever reads it. The tasks of the super-step that followed it are done again (what has a key happens
once). A thread that the memory does not know goes back to what it was at that time, or begins anew.
"""

from __future__ import annotations

import copy
import datetime as dt
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    copy_checkpoint,
    get_checkpoint_id,
)
from langgraph.checkpoint.base.id import uuid6
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command, Interrupt

from sickbay._arguments import unknown
from sickbay._errors import BadArgument
from sickbay._flow import Flow, adrive, drive
from sickbay.langgraph._mirror import MARK, Mirror, Place
from sickbay.langgraph._sends import GraphCodec

if TYPE_CHECKING:
    from sickbay._agent import Agent

Call = Callable[[str], Callable[..., Any]]
THREADS = 20


class SickbaySaver(BaseCheckpointSaver[Any]):
    """Your checkpoint saver, mirrored into the agent's memory; give it to `compile(checkpointer=…)`.

    One saver an agent. Without a live run it is your saver and nothing else.

    Args:
        inner: any LangGraph saver, such as PostgresSaver or InMemorySaver. What an InMemorySaver loses with
            its process is made again from the agent's memory.
        agent: whose memory it is; a dict, or none. Its graphs are in `agent.memory["langgraph"]`.
        threads: so many threads are kept there, those that were stored last. Of the others a rollback finds
            what `inner` had at that time.
        types: your own classes in the state (pydantic models, dataclasses, enums), so that they can be made
            again from the memory. Others are shown there, and only `inner` can restore them.

    Raises:
        BadArgument: an argument is wrong; says what to write instead.

    Example:
        graph = builder.compile(checkpointer=SickbaySaver(InMemorySaver(), agent))
    """

    def __init__(
        self,
        inner: BaseCheckpointSaver[Any],
        agent: Agent,
        *,
        threads: int = THREADS,
        types: Sequence[type] = (),
        **wrong: Any,
    ) -> None:
        if wrong:
            raise BadArgument(unknown("SickbaySaver(…)", wrong, ("threads", "types")))
        if not isinstance(inner, BaseCheckpointSaver):
            raise BadArgument(f"SickbaySaver({inner!r:.60}): give a LangGraph saver, such as InMemorySaver()")
        if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= 10_000:
            raise BadArgument(f"threads={threads!r:.60}: write how many threads are kept, from 1 to 10000")
        super().__init__(serde=inner.serde)
        self.inner, self.agent = inner, agent
        self.mirror = Mirror(agent, GraphCodec((Command, Interrupt, *types)), threads)
        self._takes_path = "task_path" in inspect.signature(inner.put_writes).parameters
        agent._lets_pass(GraphBubbleUp)

    def _sync(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.inner, name)
        return method

    def _async(self, name: str) -> Callable[..., Any]:
        return self._sync(f"a{name}")

    # — reading —

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return drive(self._found(self._sync, config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await adrive(self._found(self._async, config))

    def _found(self, call: Call, config: RunnableConfig) -> Flow[CheckpointTuple | None]:
        mirror, place = self.mirror, Place.of(config)
        found: CheckpointTuple | None = yield call("get_tuple"), (config,)
        if not place.is_root:
            mirror.refuse(place.thread)
        mirror.begins(place)
        if get_checkpoint_id(config) or not place.lasts:
            return found
        kept = mirror.kept(place)
        if not self._goes_back(found, kept):
            return found
        source = yield from self._source(call, place, found, kept)
        if source is None or source is found:
            return source
        return (yield from self._on_top(call, place, source))

    def _goes_back(self, found: CheckpointTuple | None, kept: dict[str, Any] | None) -> bool:
        mark = self.mirror.mark
        if mark is None or (found is not None and found.metadata.get(MARK) == mark):
            return found is None and kept is not None
        is_there = found is not None and kept is not None and found.checkpoint["id"] == kept["checkpoint"]
        return not is_there or bool(found is not None and found.pending_writes)

    def _source(
        self, call: Call, place: Place, found: CheckpointTuple | None, kept: dict[str, Any] | None
    ) -> Flow[CheckpointTuple | None]:
        """The checkpoint to go on from; None: the thread was not there yet."""
        where = {"thread_id": place.thread, "checkpoint_ns": place.ns}
        if kept is not None:
            at: RunnableConfig = {"configurable": {**where, "checkpoint_id": kept["checkpoint"]}}
            source: CheckpointTuple | None = yield call("get_tuple"), (at,)
            if source is None:
                source = CheckpointTuple({"configurable": where}, *self.mirror.rebuilt(place, kept))
            return source
        since = self.mirror.back.get("since")
        while found is not None and since is not None and _when(found) > since:
            before = found.parent_config
            found = (yield call("get_tuple"), (before,)) if before is not None else None
        return found

    def _on_top(self, call: Call, place: Place, source: CheckpointTuple) -> Flow[CheckpointTuple | None]:
        """A copy of it, of the same parent, as the newest of its thread."""
        checkpoint = copy_checkpoint(source.checkpoint)
        checkpoint["id"] = str(uuid6(clock_seq=source.metadata.get("step", -2)))
        checkpoint["ts"] = dt.datetime.now(dt.UTC).isoformat()
        metadata = self._marked({**source.metadata, "source": "fork"})
        bare: RunnableConfig = {"configurable": {"thread_id": place.thread, "checkpoint_ns": place.ns}}
        parent = source.parent_config or bare
        self.mirror.starts_anew(place)
        stored = yield call("put"), (parent, checkpoint, metadata, checkpoint["channel_versions"])
        self.mirror.take(place, checkpoint, metadata)
        newest: CheckpointTuple | None = yield call("get_tuple"), (stored,)
        return newest

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        return self.inner.list(config, filter=filter, before=before, limit=limit)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        async for found in self.inner.alist(config, filter=filter, before=before, limit=limit):
            yield found

    # — storing —

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return drive(self._put(self._sync, config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await adrive(self._put(self._async, config, checkpoint, metadata, new_versions))

    def _put(
        self,
        call: Call,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Flow[RunnableConfig]:
        place = Place.of(config)
        self.mirror.refuse(place.thread)
        metadata = self._marked(metadata)
        stored: RunnableConfig = yield call("put"), (config, checkpoint, metadata, new_versions)
        self.mirror.take(place, checkpoint, metadata)
        return stored

    def _marked(self, metadata: Mapping[str, Any]) -> CheckpointMetadata:
        mark = self.mirror.mark
        return cast(CheckpointMetadata, metadata if mark is None else {**metadata, MARK: mark})

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        drive(self._put_writes(self._sync, config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await adrive(self._put_writes(self._async, config, writes, task_id, task_path))

    def _put_writes(
        self,
        call: Call,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Flow[None]:
        self.mirror.refuse(Place.of(config).thread)
        path = (task_path,) if self._takes_path else ()
        yield call("put_writes"), (config, writes, task_id, *path)

    # — deleting —

    def delete_thread(self, thread_id: str) -> None:
        self.inner.delete_thread(thread_id)
        self.mirror.forget(str(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        await self.inner.adelete_thread(thread_id)
        self.mirror.forget(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.inner.delete_for_runs(run_ids)
        self.mirror.forget_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self.inner.adelete_for_runs(run_ids)
        self.mirror.forget_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.inner.copy_thread(source_thread_id, target_thread_id)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self.inner.acopy_thread(source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self.inner.prune(thread_ids, strategy=strategy)
        self._pruned(thread_ids, strategy)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self.inner.aprune(thread_ids, strategy=strategy)
        self._pruned(thread_ids, strategy)

    def _pruned(self, thread_ids: Sequence[str], strategy: str) -> None:
        for thread in thread_ids if strategy == "delete" else ():
            self.mirror.forget(str(thread))

    # — what is the inner saver's own —

    @property
    def config_specs(self) -> Any:
        return self.inner.config_specs

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self.inner.get_next_version(current, channel)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self.inner.get_delta_channel_history(config=config, channels=channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self.inner.aget_delta_channel_history(config=config, channels=channels)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> SickbaySaver:
        clone = copy.copy(self)
        clone.inner = self.inner.with_allowlist(extra_allowlist)
        clone.serde = clone.inner.serde
        return clone


def _when(found: CheckpointTuple) -> float:
    return dt.datetime.fromisoformat(found.checkpoint["ts"]).timestamp()
