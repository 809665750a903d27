"""Every RPC of `SessionService` and `ThreadService`, called in any order with any messages."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidewire.session.v1 import message_pb2, session_pb2, threads_pb2

from tests.fuzz.target import Check, Target
from tests.fuzz.worlds.loops import on_a_loop
from tests.fuzz.worlds.rpc_table import RpcTable
from tests.fuzz.worlds.session import MAX_MESSAGE_BYTES, session_world

RPCS: Final = RpcTable(
    ("sessions", "PublishMessage", session_pb2.PublishMessageRequest),
    ("sessions", "BroadcastMessage", session_pb2.BroadcastMessageRequest),
    ("sessions", "GetHistory", session_pb2.GetHistoryRequest),
    ("sessions", "GetPresence", session_pb2.GetPresenceRequest),
    ("sessions", "GetReceipt", session_pb2.GetReceiptRequest),
    ("sessions", "DisconnectClient", session_pb2.DisconnectClientRequest),
    ("threads", "CreateThread", threads_pb2.CreateThreadRequest),
    ("threads", "GetThread", threads_pb2.GetThreadRequest),
    ("threads", "ListThreads", threads_pb2.ListThreadsRequest),
    ("threads", "ListThreadMessages", threads_pb2.ListThreadMessagesRequest),
)
DEFAULT_HISTORY: Final = 100


@dataclass(frozen=True)
class Kept:
    """A message that was confirmed."""

    id: str
    client_id: str
    data: bytes
    thread: str


@dataclass
class Book:
    """What was confirmed: the messages of each topic, in their order, and the threads of each workspace."""

    topics: defaultdict[str, list[Kept]] = field(default_factory=lambda: defaultdict(list))
    threads: dict[tuple[str, str, str], threads_pb2.Thread] = field(default_factory=dict)

    def published(self, topic: str, kept: Kept, offset: int, *, duplicate: bool) -> None:
        """Note a confirmation, which must give the next offset, or that of the same id before."""
        messages = self.topics[topic]
        twins = [place for place, old in enumerate(messages, 1) if (old.id, old.client_id) == (kept.id, kept.client_id)]
        assert duplicate == bool(twins)
        assert offset == (twins[0] if twins else len(messages) + 1)
        if not twins:
            messages.append(kept)

    def check_history(self, request: session_pb2.GetHistoryRequest, response: session_pb2.GetHistoryResponse) -> None:
        """Fail unless a history is what was confirmed."""
        messages, count = self.topics[request.topic], request.limit or DEFAULT_HISTORY
        first = max(0, len(messages) - count)
        if request.HasField("since"):
            asked = request.since
            known = asked.epoch in ("", response.newest.epoch) and asked.offset <= len(messages)
            first = asked.offset if known else 0
            assert (response.failure == message_pb2.RECOVERY_FAILURE_UNSPECIFIED) == known, response
        expected = messages[first : first + count]
        assert [message.offset for message in response.messages] == list(range(first + 1, first + 1 + len(expected)))
        for message, kept in zip(response.messages, expected, strict=True):
            assert (message.id, message.client_id, message.data) == (kept.id, kept.client_id, kept.data)
        assert response.newest.offset == len(messages)
        assert response.more == (first + len(expected) < len(messages) and bool(expected))

    def check_thread(self, thread: threads_pb2.Thread) -> None:
        """Fail unless a thread is as it was made, with the messages that were confirmed since and before."""
        made = self.threads[thread.domain, thread.workspace, thread.thread_id]
        for name in ("title", "channel", "created_by", "metadata", "create_time_ms"):
            assert getattr(thread, name) == getattr(made, name)
        assert thread.message_count == len(self.of_thread(thread.domain, thread.workspace, thread.thread_id))

    def of_thread(self, domain: str, workspace: str, thread_id: str) -> list[Kept]:
        """Return the messages of a thread, of all topics."""
        return [
            kept
            for topic, messages in self.topics.items()
            if topic.startswith(f"{domain}/{workspace}/")
            for kept in messages
            if kept.thread == thread_id
        ]


async def check(data: bytes, folder: Path) -> None:
    """Make the calls of a program."""
    async with session_world(folder) as world:
        book = Book()
        async for outcome in RPCS.run(world, data):
            if outcome.ended is None:
                _judge(book, outcome.rpc, outcome.request, outcome.response)


def _judge(book: Book, name: str, request: Any, response: Any) -> None:
    """Hold a response against what was confirmed before."""
    if name in ("PublishMessage", "BroadcastMessage"):
        broadcast = name == "BroadcastMessage"
        topic = f"{request.domain}/{request.workspace}/*" if broadcast else request.topic
        assert len(request.data) <= MAX_MESSAGE_BYTES
        assert isinstance(json.loads(request.data), dict)
        assert response.id == (request.id or response.id)
        kept = Kept(response.id, request.client_id, request.data, "" if broadcast else request.thread_id)
        known = [(old.id, old.client_id) for old in book.topics[topic]]
        duplicate = (kept.id, kept.client_id) in known if broadcast else response.duplicate
        book.published(topic, kept, response.position.offset, duplicate=duplicate)
    elif name == "GetHistory":
        book.check_history(request, response)
    elif name == "GetPresence":
        assert not response.members, "nobody is here"
    elif name == "GetReceipt":
        assert (response.written, response.acknowledged) == (0, 0)
    elif name == "CreateThread":
        _judge_new_thread(book, request, response)
    elif name == "GetThread":
        book.check_thread(response.thread)
    elif name == "ListThreads":
        for thread in response.threads:
            book.check_thread(thread)
        assert response.total == sum(key[:2] == (request.domain, request.workspace) for key in book.threads)
    elif name == "ListThreadMessages":
        kept = book.of_thread(request.domain, request.workspace, request.thread_id)
        assert response.total == len(kept)
        assert {message.data for message in response.messages} <= {each.data for each in kept}
    else:
        raise AssertionError(f"{name} found somebody")


def _judge_new_thread(book: Book, request: Any, response: Any) -> None:
    thread = response.thread
    key = (thread.domain, thread.workspace, thread.thread_id)
    assert response.existed == (key in book.threads)
    if not response.existed:
        assert (thread.title, thread.metadata) == (request.title, request.metadata)
        book.threads[key] = thread
    book.check_thread(thread)


@contextmanager
def opened() -> Iterator[Check]:
    """Each input has a session service of its own."""
    with on_a_loop(check) as made:
        yield made


def seeds() -> dict[str, bytes]:
    """Return programs that use every RPC."""
    place = {"domain": "d", "workspace": "w"}
    publish = session_pb2.PublishMessageRequest(
        topic="d/w/chat", client_id="alice", id="m-1", data=b'{"content":"hello"}', thread_id="t-1"
    )
    anew = session_pb2.PublishMessageRequest(topic="d/w/chat", client_id="alice", data=b'{"content":"again"}')
    direct = session_pb2.PublishMessageRequest(topic="d/w/@bob", client_id="alice", data=b"{}")
    broadcast = session_pb2.BroadcastMessageRequest(**place, client_id="alice", id="b-1", data=b'{"to":"all"}')
    thread = threads_pb2.CreateThreadRequest(
        **place, thread_id="t-1", title="Title", channel="chat", created_by="alice", metadata=b'{"a":1}'
    )
    history = session_pb2.GetHistoryRequest(topic="d/w/chat", limit=1)
    since = session_pb2.GetHistoryRequest(topic="d/w/chat", since=message_pb2.Position(epoch="", offset=1))
    beyond = session_pb2.GetHistoryRequest(topic="d/w/chat", since=message_pb2.Position(epoch="x", offset=2**64 - 1))
    return {
        "publish-and-read": RPCS.program(
            *[("PublishMessage", publish)] * 2,
            ("PublishMessage", anew),
            ("GetHistory", history),
            ("GetHistory", since),
            ("GetHistory", beyond),
            ("GetReceipt", session_pb2.GetReceiptRequest(topic="d/w/chat", offset=1)),
            ("GetReceipt", session_pb2.GetReceiptRequest(topic="d/w/chat", offset=2**64 - 1)),
        ),
        "threads": RPCS.program(
            ("PublishMessage", publish),
            ("CreateThread", thread),
            ("CreateThread", thread),
            ("GetThread", threads_pb2.GetThreadRequest(**place, thread_id="t-1")),
            ("ListThreads", threads_pb2.ListThreadsRequest(**place, page_size=1)),
            ("ListThreadMessages", threads_pb2.ListThreadMessagesRequest(**place, thread_id="t-1", page_size=1)),
        ),
        "standing-channels": RPCS.program(
            ("PublishMessage", direct),
            *[("BroadcastMessage", broadcast)] * 2,
            ("GetHistory", session_pb2.GetHistoryRequest(topic="d/w/*")),
            ("GetPresence", session_pb2.GetPresenceRequest(topic="d/w/chat")),
            ("DisconnectClient", session_pb2.DisconnectClientRequest(**place, client_id="bob", reason="why")),
        ),
        "no-token": RPCS.without_token(),
    }


TARGET = Target(
    oracle="a status that the request has earned; offsets without a gap, each id once; histories and threads as a list has",
    opened=opened,
    seeds=seeds,
    words=(
        *(b"d/w/chat", b"d/w/@bob", b"d/w/*", b"alice", b"t-1", b"m-1", b"chat_message", b"direct_message", b"{}"),
        *(b'{"a":1e400}', b'{"a":"\\ud800"}', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x00"),
    ),
)
