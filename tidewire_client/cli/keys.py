"""`tidewire keys`: its commands, in the order in which help lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import typer

from tidewire_client.cli.failures import EXIT_CODES_HELP
from tidewire_client.cli.keys_change import delete, disable, enable, revoke, update
from tidewire_client.cli.keys_make import create, rotate
from tidewire_client.cli.keys_read import get, list_keys
from tidewire_client.cli.keys_verify import introspect, verify

app: Final = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make, change and verify API keys, through the auth service.",
    epilog=EXIT_CODES_HELP,
)

_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "create": create,
    "list": list_keys,
    "get": get,
    "update": update,
    "rotate": rotate,
    "disable": disable,
    "enable": enable,
    "revoke": revoke,
    "delete": delete,
    "verify": verify,
    "introspect": introspect,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, epilog=EXIT_CODES_HELP)(_command)
# What `get` was called first.
app.command("show", epilog=EXIT_CODES_HELP, hidden=True)(get)
