"""What run_server.py verifies before it starts anything: packages, data folder, pepper, TLS files. Changes nothing."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # importing it needs the packages that are looked for here
    from scripts.supervision.services import ServicePlan

PACKAGES: Final = (
    "aiohttp",
    "google.protobuf",
    "google.rpc",
    "grpc",
    "grpc_health",
    "grpc_reflection",
    "grpc_status",
    "msgspec",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "redis",
    "structlog",
    "uvloop",
)
_TLS_FILES: Final = ("tls_cert_file", "tls_key_file", "tls_ca_file")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def missing_packages(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Return a line that names the packages that cannot be imported; empty when all can."""
    missing = [name for name in packages if not _importable(name)]
    if not missing:
        return []
    return [
        f"Python packages are missing: {', '.join(missing)}. Leave --this-python out, or run: python3 -m pip install ."
    ]


def problems_of_files(plans: Sequence[ServicePlan], run_dir: Path) -> list[str]:
    """Return a line for each folder and file that cannot be used."""
    folders = {run_dir: "choose another with --data-dir"}
    for plan in plans:
        data_dir = getattr(plan.settings, "data_dir", None)
        if data_dir is not None:
            folders.setdefault(data_dir, f"it is the data folder of the {plan.name} service")
    problems = [*_folder_problems(folders), *_pepper_problems(plans), *_tls_problems(plans)]
    return list(dict.fromkeys(problems))


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _folder_problems(folders: dict[Path, str]) -> Iterator[str]:
    for folder, hint in folders.items():
        existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not existing.is_dir():
            yield f"the data folder {folder} cannot be made: {existing} is a file; {hint}"
        elif not os.access(existing, os.W_OK | os.X_OK):
            yield f"the data folder {folder} cannot be written: {existing} belongs to another user; {hint}"


def _pepper_problems(plans: Sequence[ServicePlan]) -> Iterator[str]:
    """A pepper file that is not there yet is no problem: the auth service makes it."""
    for plan in plans:
        path = getattr(plan.settings, "pepper_path", None)
        if path is None or getattr(plan.settings, "pepper", None) is not None or not path.exists():
            continue
        if not os.access(path, os.R_OK):
            yield f"the pepper file {path} cannot be read: give it to the user that runs the auth service"
        elif path.stat().st_mode & _OTHERS:
            yield f"the pepper file {path} can be read by others; run: chmod 600 {path}"


def _tls_problems(plans: Sequence[ServicePlan]) -> Iterator[str]:
    for plan in plans:
        for name in _TLS_FILES:
            path = getattr(plan.settings, name)
            variable = f"TIDEWIRE_{plan.name.upper()}_{name.upper()} or TIDEWIRE_{name.upper()}"
            if path is not None and not path.is_file():
                yield f"{variable}: {path}: there is no such file"
            elif path is not None and not os.access(path, os.R_OK):
                yield f"{variable}: {path} cannot be read by this user"
    served = [plan.name for plan in plans if plan.settings.tls_cert_file is not None and plan.kind.serves_grpc]
    blind = [plan.name for plan in plans if plan.kind.peers and plan.settings.tls_ca_file is None]
    if served and blind:
        yield (
            f"{', '.join(served)} would serve with TLS, but {', '.join(blind)} would call in the clear:"
            " set TIDEWIRE_TLS_CA_FILE"
        )
