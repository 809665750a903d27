"""`tidewire listen`: the messages of a channel as they come, across restarts."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated

import typer

from tidewire_client.cli import options
from tidewire_client.cli.edge import EdgeAccess, check_channel, edge_access
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.output import Output, printable
from tidewire_client.edge_frames import MESSAGE_TYPES, Frame
from tidewire_client.listener import Event, Interrupted, Joined, Listener, Lost, Received
from tidewire_client.message import Position


def listen(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel.")],
    history: Annotated[int, typer.Option(min=0, max=1000, help="Begin with the last so many messages.")] = 0,
    since: Annotated[
        str | None,
        typer.Option(metavar="EPOCH:OFFSET", help="Begin with what came after this place, as --json shows places."),
    ] = None,
    last_acked: Annotated[
        bool,
        typer.Option(
            "--last-acked",
            help="Begin with what came after the last message that was acknowledged under this client id, and "
            "acknowledge what comes.",
        ),
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Print only messages of this type; may be given again.")
    ] = None,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
    key_file: options.KeyFile = None,
    client_id: options.ClientId = None,
    domain: options.Domain = options.DEFAULT_PLACE,
    workspace: options.Workspace = options.DEFAULT_PLACE,
    timeout: options.Timeout = 10.0,
) -> None:
    """Print the messages of a channel as they come, until Ctrl-C.

    Survives restarts of edges and services: every message is printed once, in order. --timeout bounds only the time to the
    first connection. With --json each line is a frame as docs/protocol.md has it; a subscription_success among
    them, with recovered false, says that messages are lost.
    """
    if (history > 0) + (since is not None) + last_acked > 1:
        raise UsageProblem("--history, --since and --last-acked cannot be given together")
    output = Output(as_json=as_json)
    access = edge_access(output, url, key_file, client_id, domain, workspace)
    listener = Listener(
        access.login,
        check_channel(channel),
        since={} if since is None else {channel: _place(since)},
        last_acked=last_acked,
        history=history,
        first_connection_s=timeout,
    )
    printing = Printing(output, _types(types), count)
    asyncio.run(_listen(access, listener, printing, acknowledge=last_acked))


async def _listen(access: EdgeAccess, listener: Listener, printing: Printing, *, acknowledge: bool) -> None:
    with access.explained():
        async with listener:
            async for event in listener:
                done = printing.take(event)
                if acknowledge and isinstance(event, Received):
                    listener.acknowledge(event)
                if done:
                    return


class Printing:
    """Prints what happens in a channel.

    Args:
        output: Where to.
        types: Of messages to print; empty: all.
        count: End after so many; None: never.
    """

    def __init__(self, output: Output, types: frozenset[str], count: int | None) -> None:
        self._output = output
        self._types = types
        self._left = count
        self._joined = False

    def take(self, event: Event) -> bool:
        """Print an event; say if that was the last."""
        if isinstance(event, Received):
            return self._message(event.frame)
        if isinstance(event, Joined):
            self._joined = True
            self._output.note(f"listening to {event.channel}; Ctrl-C ends")
        elif isinstance(event, Interrupted):
            what = "interrupted" if self._joined else "not connected yet"
            self._output.warn(f"{what}: {printable(event.cause)}; again in {event.wait_s:.1f} s")
        elif isinstance(event, Lost):
            self._lost(event)
        return False

    def _message(self, frame: Frame) -> bool:
        if self._types and frame.type not in self._types:
            return False
        if self._output.as_json:
            self._output.json_text(frame.text)
        else:
            offset = frame.position.offset if frame.position is not None else 0
            self._output.line(
                (_clock(frame.timestamp), "dim"),
                (f"  #{offset}  ", "dim"),
                (printable(frame.client_id), "bold cyan"),
                "  ",
                printable(_words(frame)),
            )
        if self._left is None:
            return False
        self._left -= 1
        return self._left == 0

    def _lost(self, event: Lost) -> None:
        if self._output.as_json:
            self._output.json_text(event.frame.text)
        else:
            self._output.warn(f"messages of {event.channel} are lost: {printable(event.reason)}")


def _words(frame: Frame) -> str:
    """Return what a message says: its content if that is all, else its type and data."""
    data = dict(frame.data)
    content = data.get("content")
    if frame.type in ("chat_message", "channel_message") and isinstance(content, str) and len(data) == 1:
        return content
    return f"{frame.type} {json.dumps(data, ensure_ascii=False)}"


def _clock(timestamp: str) -> str:
    """Return the time of day here; what is no time is shown as it is."""
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return printable(timestamp)


def _place(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as exc:
        raise UsageProblem(f"--since: {exc}") from None


def _types(types: list[str] | None) -> frozenset[str]:
    unknown = sorted(set(types or ()) - MESSAGE_TYPES)
    if unknown:
        raise UsageProblem(f"--type: {unknown[0]} is none of {' '.join(sorted(MESSAGE_TYPES))}")
    return frozenset(types or ())
