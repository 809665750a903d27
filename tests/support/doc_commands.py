"""The commands in shell blocks of the documents, held against the parsers of the programs that they call."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from auth_service.settings import AuthSettings
from benchmarks import message_path
from scripts import manage, run_server
from scripts.bench import benchmark
from service_runtime.settings import ServiceSettings, _parser, variable
from session_service.settings import SessionSettings
from tests.fuzz import command as fuzz
from tidewire_client.cli.main import app
from ws_edge.settings import EdgeSettings

_SERVICES: dict[str, tuple[type[ServiceSettings], tuple[str, ...]]] = {
    "auth_service": (AuthSettings, ("bootstrap", "remove-development-keys")),
    "session_service": (SessionSettings, ("renew-epochs",)),
    "ws_edge": (EdgeSettings, ()),
}
# Of the command line, the tests and the examples.
_OF_CLIENTS = {
    "TIDEWIRE_API_KEY",
    "TIDEWIRE_AUTH_TARGET",
    "TIDEWIRE_AUTH_URL",
    "TIDEWIRE_CLIENT_ID",
    "TIDEWIRE_DOMAIN",
    "TIDEWIRE_PROTOS",
    "TIDEWIRE_SESSION_TARGET",
    "TIDEWIRE_TEST_MODEL_EXAMPLES",
    "TIDEWIRE_TOKEN",
    "TIDEWIRE_URL",
    "TIDEWIRE_WORKSPACE",
}
_END_OF_COMMAND = {";", "&&", "||", "|", "&", "(", ")", "{", "}", "do", "done", "then", "until", "if", "fi"}


class WrongCommand(AssertionError):
    """A program would refuse the command."""


def check_commands(text: str) -> int:
    """Hold each command of ours against its program's parser; return how many there were.

    Raises:
        WrongCommand: a program does not know what is asked of it, or nobody knows a variable.
    """
    for name in re.findall(r"\bTIDEWIRE_[A-Z_]+\b", text):
        if name not in known_variables():
            raise WrongCommand(f"nobody reads the variable {name}")
    return sum(_check(words) for words in commands(text))


def known_variables() -> set[str]:
    """Return every variable of a service, or of the command line."""
    names = set(_OF_CLIENTS)
    for cls, _ in _SERVICES.values():
        names |= {variable(cls, field) for field in cls.model_fields}
        names |= {f"TIDEWIRE_{field.upper()}" for field in ServiceSettings.model_fields}
    return names | {f"{name}_FILE" for name in names}


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a block as words; those inside of `$(...)` are not looked into."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.wordchars += "$=:,@%*?[]!~+"
        lexer.commenters = "#"
        try:
            words = list(lexer)
        except ValueError:  # a string over several lines
            continue
        yield from _split(words)


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands of one line, without the files that they read from and write to."""
    command: list[str] = []
    is_file = False
    for word in words:
        if is_file:
            is_file = False
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            is_file = True
        elif word in _END_OF_COMMAND:
            yield from [command] if command else []
            command = []
        else:
            command.append(word)
    yield from [command] if command else []


def _check(words: Sequence[str]) -> bool:
    """Return whether a command is one of ours, after it was held against its parser."""
    words = list(words)
    while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] == "export"):
        words.pop(0)
    if not words:
        return False
    program, arguments = words[0], words[1:]
    if program == "tidewire":
        _command_line(arguments)
        return True
    if not re.search(r"(^|/)python3?$", program) or not arguments:
        return False
    if arguments[0] == "-m" and arguments[1] in _SERVICES:
        _service(arguments[1], arguments[2:])
        return True
    if arguments[:2] == ["-m", "tests.fuzz"]:
        _parsed(lambda: fuzz.parsed(arguments[2:]), words)
        return True
    if arguments[0].endswith("scripts/manage.py"):
        _parsed(lambda: manage._parse(arguments[1:]), words)
        if arguments[1:2] == ["bench"]:
            _benchmark(arguments[2:])
        return True
    if arguments[0].endswith("scripts/run_server.py"):
        _parsed(lambda: run_server._parser().parse_args(arguments[1:]), words)
        return True
    return False


def _service(module: str, arguments: list[str]) -> None:
    settings, own = _SERVICES[module]
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in own:
            raise WrongCommand(f"{module} has no command {arguments[0]}")
        arguments = arguments[1:]
    _parsed(lambda: _parser(settings, module, "").parse_args(arguments), [module, *arguments])


def _benchmark(arguments: list[str]) -> None:
    module, rest = benchmark(arguments)
    if module == message_path.__name__:
        _parsed(lambda: message_path._parser().parse_args(rest), ["bench", *rest])


def _command_line(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while isinstance(command, TyperGroup):
        found = command.get_command(typer.Context(command), words.pop(0)) if words else None
        if found is None:
            raise WrongCommand(f"tidewire {' '.join(arguments)}: no such command")
        command = found
    try:
        command.make_context(command.name, words)
    except typer.TyperException as error:
        raise WrongCommand(f"tidewire {' '.join(arguments)}: {error.format_message()}") from None


def _parsed(parse: Any, words: Sequence[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parse()
    except SystemExit as end:
        if end.code not in (0, None):
            raise WrongCommand(f"{' '.join(words)}: {said.getvalue().splitlines()[-1:]}") from None
