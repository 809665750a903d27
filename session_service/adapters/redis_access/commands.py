"""What the Redis engine says to the server: names of keys, scripts, and the bytes of a message.

All keys of one channel share a hash tag, and all of one workspace's threads another, so that each script touches one slot of
a Redis Cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Final, NamedTuple, TypeAlias

from service_runtime.redis_address import RedisAddress
from session_service.core.canary import is_canary
from session_service.core.model import NewMessage, StoredMessage, weight
from session_service.core.retention import RetentionPolicy

Part: TypeAlias = str | bytes | int

MAX_NUMBER: Final = 2**53
"""Beyond every offset: larger numbers of a caller, which Lua could not keep apart, mean the same."""
MAX_THREAD_REFERENCES: Final = 100_000
IDLE_CANARY_MS: Final = 3_600_000
"""Each process has a canary of its own; those of ended processes go after this time."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How the Redis engine works.

    Args:
        address: Where it is.
        retention: What is kept of each channel.
        namespace: Stands before every key.
        idempotency_window_s: The same id is stored once within this many seconds.
        max_threads: Threads a workspace may have.
        wait_replicas: So many replicas must have a message before it counts as stored.
        new_epoch: Returns a name that no epoch had.
        now_s: Seconds since the Unix epoch; None: the server's time, the same for all services.
    """

    address: RedisAddress
    retention: RetentionPolicy
    namespace: str = "tidewire"
    idempotency_window_s: float = 300.0
    max_threads: int = 100_000
    wait_replicas: int = 0
    new_epoch: Callable[[], str] = field(kw_only=True)
    now_s: Callable[[], float] | None = None

    def now(self) -> Part:
        """Return milliseconds for a script; empty: it shall ask the server's clock."""
        return "" if self.now_s is None else int(self.now_s() * 1000)


class Command(NamedTuple):
    """What is sent to a server.

    `key`: one of its keys, which says where in a Redis Cluster it goes. `stamped`: whoever sends it adds two arguments, the
    server's run id, and 1 if that server has everything that its predecessor confirmed, else 0.
    """

    key: str
    words: tuple[Part, ...]
    stamped: bool = False


class Script(NamedTuple):
    """A Lua script and the name that the server knows it by; `stamped`: see `Command`."""

    text: str
    sha: str
    stamped: bool

    def call(self, keys: tuple[str, ...], *arguments: Part) -> Command:
        """Return the command that runs it."""
        return Command(keys[0], ("EVALSHA", self.sha, len(keys), *keys, *arguments), self.stamped)


def _load(*names: str, stamped: bool = False) -> Script:
    folder = resources.files("session_service.adapters.redis_access.scripts")
    text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), stamped)


APPEND: Final = _load("retention", "epochs", "append", stamped=True)
POSITION: Final = _load("epochs", "position", stamped=True)
READ: Final = _load("retention", "epochs", "read")
ACKNOWLEDGE: Final = _load("epochs", "acknowledge")
ACKNOWLEDGED: Final = _load("epochs", "acknowledged")
THREAD_CREATE: Final = _load("retention", "thread_create")
THREAD_READ: Final = _load("thread_read")
THREAD_ADD: Final = _load("thread_add")
PRESENCE_ENTER: Final = _load("presence", "presence_enter")
PRESENCE_LEAVE: Final = _load("presence", "presence_leave")
PRESENCE_DROP: Final = _load("presence", "presence_drop")
HEARTBEAT: Final = _load("presence_heartbeat")
RENEW: Final = _load("epochs", "renew")
SCRIPTS: Final = (
    *(APPEND, POSITION, READ, ACKNOWLEDGE, ACKNOWLEDGED, THREAD_CREATE, THREAD_READ, THREAD_ADD),
    *(PRESENCE_ENTER, PRESENCE_LEAVE, PRESENCE_DROP, HEARTBEAT),
)


class ThreadKeys(NamedTuple):
    """Where a thread is."""

    thread: str
    order: str
    references: str
    times: str


class Names:
    """Names of keys and of pub/sub channels.

    Args:
        namespace: Stands before every one.
    """

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}:session:" + "{"
        self._skip = len(self._prefix.encode())

    def key(self, topic: str, kind: str) -> str:
        """Return a key of a channel."""
        return f"{self._prefix}{topic}}}:{kind}"

    def channel(self, topic: str) -> str:
        """Return the pub/sub channel in which a topic's messages are published."""
        return f"{self._prefix}{topic}}}"

    def topic_of(self, channel: bytes) -> str:
        """Return the topic of a pub/sub channel."""
        return channel[self._skip : -1].decode()

    def thread(self, domain: str, workspace: str, thread_id: str) -> ThreadKeys:
        """Return the keys of a thread."""
        tag = f"{self._prefix}{domain}/{workspace}}}:threads"
        return ThreadKeys(f"{tag}:of:{thread_id}", tag, f"{tag}:references:{thread_id}", f"{tag}:times")


def bounds(settings: RedisSettings, topic: str) -> tuple[Part, Part, Part]:
    """Return a topic's retention as the scripts take it: messages, milliseconds, bytes."""
    rule = settings.retention.rule_for(topic)
    return rule.max_messages, int(rule.max_age_s * 1000), rule.max_bytes


def append_command(names: Names, settings: RedisSettings, publish: str, message: NewMessage) -> Command:
    """Return the command that stores a message and publishes it by the word `PUBLISH` or `SPUBLISH`."""
    topic = message.topic
    client, message_id = message.client_id, message.id
    keys = (names.key(topic, "meta"), names.key(topic, "log"), names.key(topic, f"id:{client}:{message_id}"))
    return APPEND.call(
        keys,
        settings.now(),
        settings.new_epoch(),
        int(settings.idempotency_window_s * 1000),
        *bounds(settings, topic),
        weight(StoredMessage(topic, "", "", "", "", 0, 0, message.data)),
        publish,
        names.channel(topic),
        encode(message),
        IDLE_CANARY_MS if is_canary(topic) else 0,
        settings.wait_replicas,
        message.thread_id,
    )


def encode(message: NewMessage) -> bytes:
    """Return the body of a message: three lengths, then type, id, client and data as they are."""
    kind, message_id, client_id = message.type.encode(), message.id.encode(), message.client_id.encode()
    head = b"%d %d %d\n" % (len(kind), len(message_id), len(client_id))
    return head + kind + message_id + client_id + message.data


def decode(topic: str, epoch: str, offset: int, time_ms: int, body: bytes) -> StoredMessage:
    """Return the message of a body."""
    lengths, _, rest = body.partition(b"\n")
    first, second, third = map(int, lengths.split())
    second += first
    third += second
    kind, message_id, client_id = rest[:first].decode(), rest[first:second].decode(), rest[second:third].decode()
    return StoredMessage(topic, kind, message_id, client_id, epoch, offset, time_ms, rest[third:])


def decode_published(topic: str, payload: bytes) -> StoredMessage:
    """Return the message of what was published."""
    place, _, body = payload.partition(b"\n")
    epoch, offset, time_ms = place.split()
    return decode(topic, epoch.decode(), int(offset), int(time_ms), body)
