"""Options that several commands share, each with its variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="For programs: results as JSON on stdout, errors as JSON on stderr.")
]
Url = Annotated[str, typer.Option("--url", envvar="TIDEWIRE_URL", help="Address of an edge.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="File that holds the API key, instead of the variable TIDEWIRE_API_KEY. Without either, and on this "
        "machine only: the development key.",
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        envvar="TIDEWIRE_CLIENT_ID",
        help="As whom to connect: 1 to 64 of A-Z a-z 0-9 _ -.",
        show_default="cli-<your login name>",
    ),
]
Domain = Annotated[str, typer.Option("--domain", envvar="TIDEWIRE_DOMAIN", help="Whose channels.")]
Workspace = Annotated[str, typer.Option("--workspace", envvar="TIDEWIRE_WORKSPACE", help="Whose channels.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="How long to try, in seconds.")]

AuthTarget = Annotated[
    str, typer.Option("--auth-target", envvar="TIDEWIRE_AUTH_TARGET", help="gRPC address of the auth service.")
]
AdminKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="File that holds a key with admin:*, or the service token, instead of the variables TIDEWIRE_SERVICE_TOKEN "
        "or TIDEWIRE_API_KEY. Without any, and on this machine only: the development service token.",
    ),
]
TlsCaFile = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca-file", envvar="TIDEWIRE_TLS_CA_FILE", help="Certificates (PEM) to trust; calls then use TLS."
    ),
]
TlsCertFile = Annotated[
    Path | None,
    typer.Option("--tls-cert-file", envvar="TIDEWIRE_TLS_CERT_FILE", help="Certificate (PEM) to show, for mutual TLS."),
]
TlsKeyFile = Annotated[
    Path | None,
    typer.Option("--tls-key-file", envvar="TIDEWIRE_TLS_KEY_FILE", help="Private key (PEM) of that certificate."),
]

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_AUTH_TARGET = "127.0.0.1:50051"
DEFAULT_PLACE = "personal"
