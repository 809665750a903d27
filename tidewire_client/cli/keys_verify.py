"""`tidewire keys verify` and `introspect`: is a key good, and for what."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from tidewire_client.cli.auth import AuthAccess, asks_auth_service
from tidewire_client.cli.credentials import key_to_verify
from tidewire_client.cli.failures import ExitCode
from tidewire_client.cli.option_sets import option_set
from tidewire_client.cli.output import Output, prints
from tidewire_client.cli.verdict_words import verdict_fields, verdict_record
from tidewire_client.verdict import Verdict

From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="File that holds the key on one line; without it the key is read from stdin, or asked for without an echo. A "
        "key is never an argument: every process of the machine could read it there.",
    ),
]
Action = Annotated[str, typer.Option(help="Also check this action, e.g. join.")]
Channel = Annotated[str, typer.Option(help="The channel of the action.")]
Domain = Annotated[str, typer.Option(help="Also check this domain.")]
Workspace = Annotated[str, typer.Option(help="Also check this workspace.")]
ClientAddress = Annotated[
    str, typer.Option(metavar="IP", help="Where the key came from: failed attempts are counted by it.")
]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: of the key of which file (None: of stdin), and what it is wanted for."""

    file: Path | None
    use: dict[str, str]


def question_of(
    file: From = None,
    action: Action = "",
    channel: Channel = "",
    domain: Domain = "",
    workspace: Workspace = "",
    client_address: ClientAddress = "",
) -> Question:
    """Return the question that the options ask."""
    use = {"domain": domain, "workspace": workspace, "action": action, "channel": channel}
    return Question(file, {**use, "client_address": client_address})


_asks: Final = option_set(question_of)


@asks_auth_service
@prints
@_asks
def verify(question: Question, output: Output, access: AuthAccess) -> None:
    """Verify a key as a back end does.

    The use is charged to the key if its uses are counted. Ends with 0 if the key is good, else with 4.
    """
    raise typer.Exit(_ask(access, question, output, charge=True))


@asks_auth_service
@prints
@_asks
def introspect(question: Question, output: Output, access: AuthAccess) -> None:
    """Say what `verify` would say, and charge nothing.

    Ends with 0 if the key is good, else with 4.
    """
    raise typer.Exit(_ask(access, question, output, charge=False))


def _ask(access: AuthAccess, question: Question, output: Output, *, charge: bool) -> int:
    api_key = key_to_verify(question.file, sys.stdin)

    async def run() -> Verdict:
        verifier = access.verifier()
        try:
            with access.explained():
                return await (verifier.verify if charge else verifier.introspect)(api_key, **question.use)
        finally:
            await verifier.close()

    verdict = asyncio.run(run())
    if output.as_json:
        output.record({"verdict": verdict_record(verdict)})
    else:
        output.fields(verdict_fields(verdict))
    return ExitCode.OK if verdict.allowed else ExitCode.NOT_ALLOWED
