"""The entry point of `tidewire`: commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import typer

from tidewire_client.cli import keys, load
from tidewire_client.cli.audit import audit
from tidewire_client.cli.credentials import without_keys
from tidewire_client.cli.failures import (
    EXIT_CODES_HELP,
    CommandFailed,
    ExitCode,
    UsageProblem,
    usage_record,
)
from tidewire_client.cli.listen import listen
from tidewire_client.cli.output import Output
from tidewire_client.cli.send import send
from tidewire_client.cli.top import top

app: Final = typer.Typer(
    name="tidewire",
    help="Listen to channels, send messages, administer keys of a Tidewire gateway, watch its services, and "
    "put load on it.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # Tracebacks with the values of variables would show keys.
    pretty_exceptions_enable=False,
)
app.command(epilog=EXIT_CODES_HELP)(listen)
app.command(epilog=EXIT_CODES_HELP)(send)
app.add_typer(keys.app, name="keys")
app.command(epilog=EXIT_CODES_HELP)(audit)
app.command(epilog=EXIT_CODES_HELP)(top)
app.add_typer(load.app, name="load")


def main() -> None:
    """Run the command line of this process, and end it."""
    # What the gRPC library writes on stderr is for its developers; errors are told by the commands.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return how the process is to end.

    Args:
        arguments: Without the program's name.
    """
    # For `load` it names a file; its errors are for people.
    output = Output(as_json="--json" in arguments and arguments[0] != "load")
    try:
        result = app(list(arguments), prog_name="tidewire", standalone_mode=False)
        return result if isinstance(result, int) else ExitCode.OK
    except typer.TyperException as problem:
        return _usage(output, problem.format_message())
    except UsageProblem as problem:
        return _usage(output, str(problem))
    except CommandFailed as failed:
        output.error(str(failed), failed.hint, failed.record())
        return failed.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return ExitCode.OUTPUT_CLOSED


def drop_output() -> None:
    """Let what is still buffered go nowhere, because nobody reads any more and the interpreter would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(output: Output, problem: str) -> int:
    if problem.startswith("Usage: "):  # No command was named: the help is the message.
        sys.stderr.write(f"{problem}\n")
        return ExitCode.USAGE
    problem = without_keys(problem)
    output.error(
        problem, "`tidewire --help` and `tidewire COMMAND --help` say what can be given.", usage_record(problem)
    )
    return ExitCode.USAGE
