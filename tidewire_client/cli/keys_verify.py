"""`tidewire keys verify` and `introspect`: is a key good, and for what."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from tidewire_client.cli import options
from tidewire_client.cli.auth import AuthAccess, auth_access
from tidewire_client.cli.credentials import key_to_verify
from tidewire_client.cli.failures import ExitCode
from tidewire_client.cli.output import Output
from tidewire_client.cli.verdict_words import verdict_fields, verdict_record
from tidewire_client.key_admin import DEFAULT_DEADLINE_S
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


def verify(
    file: From = None,
    action: Action = "",
    channel: Channel = "",
    domain: Domain = "",
    workspace: Workspace = "",
    client_address: ClientAddress = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Verify a key as a back end does.

    The use is charged to the key if its uses are counted. Ends with 0 if the key is good, else with 4.
    """
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    question = {
        "domain": domain,
        "workspace": workspace,
        "action": action,
        "channel": channel,
        "client_address": client_address,
    }
    raise typer.Exit(_ask(access, file, question, charge=True, as_json=as_json))


def introspect(
    file: From = None,
    action: Action = "",
    channel: Channel = "",
    domain: Domain = "",
    workspace: Workspace = "",
    client_address: ClientAddress = "",
    as_json: options.Json = False,
    auth_target: options.AuthTarget = options.DEFAULT_AUTH_TARGET,
    key_file: options.AdminKeyFile = None,
    tls_ca_file: options.TlsCaFile = None,
    tls_cert_file: options.TlsCertFile = None,
    tls_key_file: options.TlsKeyFile = None,
    timeout: options.Timeout = DEFAULT_DEADLINE_S,
) -> None:
    """Say what `verify` would say, and charge nothing.

    Ends with 0 if the key is good, else with 4.
    """
    access = auth_access(auth_target, key_file, tls_ca_file, tls_cert_file, tls_key_file, timeout)
    question = {
        "domain": domain,
        "workspace": workspace,
        "action": action,
        "channel": channel,
        "client_address": client_address,
    }
    raise typer.Exit(_ask(access, file, question, charge=False, as_json=as_json))


def _ask(access: AuthAccess, file: Path | None, question: dict[str, str], *, charge: bool, as_json: bool) -> int:
    api_key = key_to_verify(file, sys.stdin)

    async def run() -> Verdict:
        verifier = access.verifier()
        try:
            with access.explained():
                return await (verifier.verify if charge else verifier.introspect)(api_key, **question)
        finally:
            await verifier.close()

    verdict, output = asyncio.run(run()), Output(as_json=as_json)
    if as_json:
        output.record({"verdict": verdict_record(verdict)})
    else:
        output.fields(verdict_fields(verdict))
    return ExitCode.OK if verdict.allowed else ExitCode.NOT_ALLOWED
