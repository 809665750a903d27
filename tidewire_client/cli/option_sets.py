"""Options that many commands have, declared once: a function takes them, and commands are given what it returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def option_set(made_of: Callable[..., T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """Return a decorator for commands that gives a command's first parameter what options make.

    On the command line these options take the parameter's place, behind the command's own. Decorators of several sets may
    stand over a command: the lowest gives the first parameter.

    Args:
        made_of: Takes the options as its parameters, annotated for typer, all with defaults; returns what the command gets.
    """
    shared = list(inspect.signature(made_of, eval_str=True).parameters.values())

    def decorate(command: Callable[Concatenate[T, P], None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def run(*before: Any, **given: Any) -> None:
            made = made_of(**{option.name: given.pop(option.name) for option in shared})
            command(made, *before, **given)

        parameters = [*own, *shared]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
