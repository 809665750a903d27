"""What crosses between the command and its load processes: who is to connect where, what to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Account, Sent


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes. It crosses by a pipe only: the key stands on no command line.

    Attributes:
        login: The edge, the key and the place; its `client_id` begins the id of each client.
        addresses: IP addresses of the edge's host, taken in turn.
        port: Of the edge.
        ca_file: Certificates (PEM) to trust; None: those of the system.
        run: Of this run: in every message and client id.
        timeout_s: For a client to be connected, or back, in seconds.
    """

    login: EdgeLogin
    addresses: tuple[str, ...]
    port: int
    ca_file: Path | None
    run: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client.

    Attributes:
        number: Of all clients of the run, from 0.
        channels: That it joins as soon as it is connected.
        stream: Of the messages that it publishes, to the first of its channels; None: it publishes nothing.
        phase: Where in an interval its messages are due, 0 to 1.
        hears: Streams that it is to get.
        size: Characters of each message.
        watches: It asks for presence.
        small_buffer: Its socket takes in little, so that the server notices soon when it does not read.
        slow: It is one that stops to read; its times are none of the others'.
    """

    number: int
    channels: tuple[str, ...] = ()
    stream: int | None = None
    phase: float = 0.0
    hears: tuple[int, ...] = ()
    size: int = 100
    watches: bool = False
    small_buffer: bool = False
    slow: bool = False


# What a load process is asked to do. Times are in seconds of the monotonic clock, which all processes of a machine share.


@dataclass(frozen=True, slots=True)
class Open:
    """Connect clients; answered by `Opened`.

    Attributes:
        clients: Those of this process.
        due_s: When each is due; empty: as soon as there is room.
        at_once: So many at the same time, if nothing is due.
    """

    clients: tuple[ClientPlan, ...]
    due_s: tuple[float, ...] = ()
    at_once: int = 32


@dataclass(frozen=True, slots=True)
class Publish:
    """Have each publisher send at a rate; answered by `Published`."""

    start_s: float
    rate: float
    duration_s: float
    churn_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until all that was sent has come; answered by `Drained`.

    Attributes:
        sent: What was sent, by stream.
        deadline_s: How long to wait at most, in seconds.
        with_slow: Also for those that stop to read.
        settle_s: How long to listen on for what comes twice, in seconds.
    """

    sent: Mapping[int, Sent]
    deadline_s: float
    with_slow: bool = True
    settle_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Storm:
    """Cut all connections at a moment, and come back at once; answered by `Opened`."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Membership:
    """Have all that do not watch join a channel, or leave it, at a moment; answered by `Opened`.

    Attributes:
        at_s: The moment.
        phase: How many such changes there were before; even: all join.
        channel: The channel.
    """

    at_s: float
    phase: int
    channel: str


@dataclass(frozen=True, slots=True)
class SetReading:
    """Have the slow clients stop to read, or go on; answered by `Done`."""

    reading: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Close all, and end; answered by `Done`."""


Command = Open | Publish | Drain | Storm | Membership | SetReading | Stop


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Come to an end with what is being done: there is a result to show. No answer of its own."""


# What it answers.


@dataclass(frozen=True, slots=True)
class Opened:
    """How clients got what they asked for.

    Attributes:
        done: How many.
        failed: How many did not in time.
        last_s: When the last did, in seconds of the monotonic clock; 0: none.
        times: From when each was due.
    """

    done: int
    failed: int
    last_s: float
    times: Histogram


@dataclass(frozen=True, slots=True)
class Published:
    """What was sent, by stream."""

    sent: Mapping[int, Sent]


@dataclass(frozen=True, slots=True)
class ClientAccount:
    """What one client got."""

    number: int
    account: Account
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Drained:
    """What came.

    Attributes:
        accounts: Of each client.
        latency: From when a message was due until it was delivered, since the last `Drained`.
        confirmation: From when it was due until it was confirmed, since the last `Drained`.
        catch_up: The same for what came after a client was back, or was read late; no latency of the gateway.
        lateness: How late messages were sent.
        unanswered: Messages that were neither confirmed nor refused on a connection that stood.
        fates: How many of the slow clients ended how, e.g. `closed with 1013`.
    """

    accounts: tuple[ClientAccount, ...]
    latency: Histogram
    confirmation: Histogram
    catch_up: Histogram
    lateness: Histogram
    unanswered: int
    fates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Done:
    """It is done."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The load process itself failed; its words."""

    words: str


Answer = Opened | Published | Drained | Done | Failed


@dataclass(slots=True)
class Counters:
    """What a load process has counted since it began.

    Attributes:
        open: Connections that are authenticated now.
        sent: Messages.
        confirmed: Messages.
        delivered: Messages that came, each time they did.
        refused: Messages that were answered by an error.
        unsent: Messages that were due while their sender was not connected.
        cut_off: Messages whose connection broke off before they were confirmed.
        confirmed_twice: Confirmations beyond the first.
        dropped: Connections that ended and nobody of the load had ended them.
        reconnected: Clients that came back.
        not_back: Clients that did not, in time.
        told_lost: Times that the gateway said that something missed is no longer kept.
        reasons: What went wrong, in words, with how often.
    """

    open: int = 0
    sent: int = 0
    confirmed: int = 0
    delivered: int = 0
    refused: int = 0
    unsent: int = 0
    cut_off: int = 0
    confirmed_twice: int = 0
    dropped: int = 0
    reconnected: int = 0
    not_back: int = 0
    told_lost: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def because(self, reason: str) -> None:
        """Count a reason; beyond so many different ones they are all one."""
        if reason not in self.reasons and len(self.reasons) >= MAX_REASONS:
            reason = "other reasons"
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


MAX_REASONS = 50


@dataclass(frozen=True, slots=True)
class Tick:
    """How a load process does, twice a second.

    Attributes:
        at_s: When, in seconds of the monotonic clock.
        cpu_s: That it has used, in seconds.
        resident_bytes: Its memory.
        counters: Since it began.
        latency: Of what was delivered since the last tick.
        back: Of clients that came back since the last tick: from when their connection had ended.
    """

    at_s: float
    cpu_s: float
    resident_bytes: int
    counters: Counters
    latency: Histogram
    back: Histogram
