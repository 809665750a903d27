"""The settings reference, docs/reference/settings.md: made from the settings classes, so that it cannot say anything else."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from auth_service.settings import AuthSettings
from scripts.environment import ROOT
from service_runtime.settings import SHARED_PREFIX, ServiceSettings, shown_default, unit, variable
from session_service.settings import SessionSettings
from ws_edge.settings import EdgeSettings

FILE: Final = ROOT / "docs" / "reference" / "settings.md"
_SERVICES: Final = (
    ("ws_edge", "Edge", EdgeSettings),
    ("session_service", "Session service", SessionSettings),
    ("auth_service", "Auth service", AuthSettings),
)
_WORDS: Final = {Ge: "at least", Gt: "over", Le: "at most", Lt: "under"}
_HEAD: Final = "| variable | flag | default | unit | allowed | what it is |\n|---|---|---|---|---|---|\n"
_INTRODUCTION: Final = """# Settings

<!-- Generated from the settings classes by `python3 scripts/manage.py check --fix`. Do not edit. -->

Each service reads its settings once, at its start: a flag beats the service's own variable, which beats the shared one,
which beats the default. A wrong value stops the service with exit code 2 and a line for each that names the variable, what
was given, and what is allowed. Secrets are read from variables only, because every process of a machine can read flags:
from the variable itself, or from the file that the same variable with `_FILE` behind its name names.
`python -m <service> --help` says the same as this page.

`scripts/manage.py start` and `scripts/run_server.py` pass variables on to the services. They choose the data folder, the
addresses of the services for each other, and `shutdown_grace_s` themselves, unless a variable is set.
"""
_SHARED: Final = """
## All services

`TIDEWIRE_<NAME>` sets it for all of them, `TIDEWIRE_AUTH_<NAME>`, `TIDEWIRE_SESSION_<NAME>`, `TIDEWIRE_EDGE_<NAME>` for one.

"""


def render() -> str:
    """Return the page."""
    shared = (
        _row(f"{SHARED_PREFIX}{name.upper()}", name, field) for name, field in ServiceSettings.model_fields.items()
    )
    parts = [_INTRODUCTION, _SHARED, _HEAD, *shared]
    for module, title, cls in _SERVICES:
        rows = (_row(variable(cls, name), name, cls.model_fields[name]) for name in _own_fields(cls))
        parts += [f"\n## {title}\n\n`python -m {module}`\n\n", _HEAD, *rows]
    return "".join(parts)


def is_fresh(file: Path = FILE) -> bool:
    """Whether the page is what the classes say."""
    return file.exists() and file.read_text() == render()


def write(file: Path = FILE) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render())


def _own_fields(cls: type[ServiceSettings]) -> list[str]:
    """Return the settings that not all services have, or that this one has otherwise."""
    shared = ServiceSettings.model_fields
    return [
        name
        for name, field in cls.model_fields.items()
        if name not in shared or (field.default, field.description) != (shared[name].default, shared[name].description)
    ]


def _row(shown_variable: str, name: str, field: FieldInfo) -> str:
    cells = (
        f"`{shown_variable}`",
        _flag(name, field),
        _default(field),
        unit(field),
        allowed(field),
        field.description or "",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _flag(name: str, field: FieldInfo) -> str:
    flag = name.replace("_", "-")
    kinds = _kinds(field.annotation)
    if SecretStr in kinds:
        return "none: a secret"
    return f"`--{flag}`, `--no-{flag}`" if bool in kinds else f"`--{flag}`"


def _default(field: FieldInfo) -> str:
    text = shown_default(field)
    if text in ("", "not set", "required", "secret"):
        return text or "empty"
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


def allowed(field: FieldInfo) -> str:
    """Return what values a field may have, in words."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    kinds = _kinds(field.annotation)
    if bool in kinds:
        return "`true`, `false`"
    bounds = {type(limit): _number(limit) for limit in field.metadata if isinstance(limit, tuple(_WORDS))}
    if Ge in bounds and Le in bounds:
        return f"{bounds[Ge]} to {bounds[Le]}"
    return ", ".join(f"{words} {bounds[kind]}" for kind, words in _WORDS.items() if kind in bounds)


def _number(limit: Any) -> str:
    value = getattr(limit, type(limit).__name__.lower())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kinds(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
