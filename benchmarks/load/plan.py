"""What the generator is asked to do: clients with their handshakes, and publishers with their messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

# As in generator/generator.h.
MESSAGE_MARKER: Final = "@tw@"
CONFIRMATION_MARKER: Final = "@id@"
_MESSAGE_TAIL: Final = 28
_CONFIRMATION_TAIL: Final = 12

SHORTEST_BODY: Final = len(MESSAGE_MARKER) + _MESSAGE_TAIL


def body(size: int) -> str:
    """Return the text of a message with room for its number and time, `size` characters long.

    Raises:
        ValueError: the marker does not fit in.
    """
    if size < SHORTEST_BODY:
        raise ValueError(f"a message has at least {SHORTEST_BODY} characters, not {size}")
    return (MESSAGE_MARKER + "0" * _MESSAGE_TAIL).ljust(size, ".")


def message_id() -> str:
    """Return the text by which a confirmation names its message, with room for the number."""
    return CONFIRMATION_MARKER + "0" * _CONFIRMATION_TAIL


@dataclass(frozen=True)
class Frame:
    """One WebSocket message that a client sends.

    Args:
        payload: Its bytes.
        binary: Whether it is a binary message; else it is text.
    """

    payload: bytes
    binary: bool = False

    @classmethod
    def text(cls, text: str) -> Frame:
        """Return a text message."""
        return cls(text.encode())

    def encoded(self) -> str:
        """Return it as the generator reads it."""
        return ("b" if self.binary else "t") + self.payload.hex()


@dataclass(frozen=True)
class Expect:
    """Bytes that a client waits for before it goes on.

    Args:
        part: A part of one message of the server.
    """

    part: bytes

    def encoded(self) -> str:
        """Return it as the generator reads it."""
        return "e" + self.part.hex()


Step = Frame | Expect


@dataclass(frozen=True)
class Client:
    """One connection.

    Args:
        port: Of the server on this machine.
        path: Of the WebSocket, query included.
        steps: Its handshake.
        protocol: The WebSocket subprotocol; empty: none.
        joined: Whether the server may put several messages into one frame or split one over frames.
    """

    port: int
    path: str
    steps: Sequence[Step] = ()
    protocol: str = ""
    joined: bool = False

    def command(self) -> str:
        """Return the generator's command."""
        steps = " ".join(step.encoded() for step in self.steps)
        kind = "joined" if self.joined else "framed"
        return f"connection 127.0.0.1 {self.port} {self.path} {self.protocol or '-'} {kind} {steps}".rstrip()


@dataclass(frozen=True)
class Publisher:
    """One sender of numbered messages.

    Args:
        client: Index of the client that sends.
        message: With the markers of `body` and, if it is confirmed, `message_id`.
        members: Indexes of the clients that must get each message once and in order.
        count: How many.
        window: At most so many are under way: sent, and not yet with every member (and confirmed); 0 with a rate.
        rate: Messages a second by a schedule that waits for nothing; 0: as the window allows.
        confirmed: Whether the server confirms each.
    """

    client: int
    message: Frame
    members: Sequence[int]
    count: int
    window: int = 0
    rate: float = 0.0
    confirmed: bool = False

    def commands(self, stream: int) -> Iterator[str]:
        """Return the generator's commands.

        Args:
            stream: Its index among the publishers of the run.
        """
        yield (
            f"stream {self.client} {int(self.confirmed)} {self.window} {self.rate} {self.count} {self.message.encoded()}"
        )
        for member in self.members:
            yield f"member {member} {stream}"
