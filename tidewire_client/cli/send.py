"""`tidewire send`: one message to a channel, confirmed."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, Final

import typer

from tidewire_client.cli import options
from tidewire_client.cli.edge import EdgeAccess, check_channel, edge_access
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.output import Output
from tidewire_client.edge_frames import MESSAGE_TYPES
from tidewire_client.edge_sender import Confirmed, send_message

MAX_INPUT_BYTES: Final = 65_536
STDIN: Final = "-"


def send(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel.")],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The message; - reads it from stdin.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="A JSON object to send as it is, instead of TEXT; - reads it from stdin."),
    ] = None,
    message_type: Annotated[str, typer.Option("--type", help="The type of the message.")] = "chat_message",
    message_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Id of the message: sent again under the same client id within five minutes, it is stored once.",
            show_default="a random one",
        ),
    ] = None,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
    key_file: options.KeyFile = None,
    client_id: options.ClientId = None,
    domain: options.Domain = options.DEFAULT_PLACE,
    workspace: options.Workspace = options.DEFAULT_PLACE,
    timeout: options.Timeout = 10.0,
) -> None:
    """Send a message to a channel, and say where it stands once it is stored.

    The key needs the permissions join and publish on the channel.
    """
    if message_type not in MESSAGE_TYPES:
        raise UsageProblem(f"--type: {message_type} is none of {' '.join(sorted(MESSAGE_TYPES))}")
    if message_id is not None and not 1 <= len(message_id) <= 64:
        raise UsageProblem("--id: 1 to 64 characters")
    check_channel(channel)
    body = message_body(text, data)
    output = Output(as_json=as_json)
    access = edge_access(output, url, key_file, client_id, domain, workspace)
    confirmed = asyncio.run(_send(access, channel, body, message_type, message_id, timeout))
    _print(output, confirmed)


def message_body(text: str | None, data: str | None) -> bytes:
    """Return the data of the message: JSON as it was given, or the text as `content`.

    Raises:
        UsageProblem: Neither or both are given, or what is given is no JSON object.
    """
    if (text is None) == (data is None):
        raise UsageProblem("give either TEXT or --data")
    if data is None:
        content = _stdin().removesuffix("\n") if text == STDIN else text
        return _utf8("TEXT", json.dumps({"content": content}, ensure_ascii=False, separators=(",", ":")))
    given = _stdin() if data == STDIN else data
    try:
        decoded = json.loads(given, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise UsageProblem(f"--data is no JSON: {exc}") from None
    if not isinstance(decoded, dict):
        raise UsageProblem("--data must be a JSON object")
    return _utf8("--data", given.strip())


async def _send(
    access: EdgeAccess, channel: str, body: bytes, message_type: str, message_id: str | None, timeout_s: float
) -> Confirmed:
    with access.explained():
        return await send_message(
            access.login, channel, body, message_type=message_type, message_id=message_id, deadline_s=timeout_s
        )


def _print(output: Output, confirmed: Confirmed) -> None:
    place = confirmed.position
    if output.as_json:
        output.record({"channel": confirmed.channel, "id": confirmed.id, "epoch": place.epoch, "offset": place.offset})
        return
    output.line(f"stored in {confirmed.channel} at #{place.offset}", (f"  id {confirmed.id}", "dim"))


def _stdin() -> str:
    raw = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(raw) > MAX_INPUT_BYTES:
        raise UsageProblem(f"stdin holds more than {MAX_INPUT_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UsageProblem("stdin is not UTF-8") from None


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageProblem(f"{name} is not UTF-8") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
