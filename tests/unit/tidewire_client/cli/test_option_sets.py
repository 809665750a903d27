"""Options that are declared once and given to several commands."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from tidewire_client.cli.option_sets import option_set


def place(street: Annotated[str, typer.Option(help="Where.")] = "High Street", number: int = 1) -> str:
    return f"{number} {street}"


def greeting(polite: bool = False) -> str:
    return "Dear" if polite else "Hi"


told: list[tuple[str, str, str]] = []


@option_set(place)
@option_set(greeting)
def write(words: str, where: str, name: Annotated[str, typer.Argument()]) -> None:
    """Write to somebody."""
    told.append((words, where, name))


def test_the_options_stand_behind_those_of_the_command() -> None:
    assert list(inspect.signature(write).parameters) == ["name", "polite", "street", "number"]
    assert write.__doc__ == "Write to somebody."


def test_a_command_is_given_what_the_options_make() -> None:
    told.clear()
    app = typer.Typer()
    app.command()(write)
    assert app(["Ann", "--number", "7", "--polite"], standalone_mode=False) is None
    assert app(["Bob", "--street", "Mill Lane"], standalone_mode=False) is None
    assert told == [("Dear", "7 High Street", "Ann"), ("Hi", "1 Mill Lane", "Bob")]
