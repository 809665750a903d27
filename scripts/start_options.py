"""Command-line options that every way of starting Tidewire has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.environment import ROOT

DEFAULT_DATA_DIR: Final = ROOT / ".tidewire"
CERTIFICATES: Final = "certs"
_DEFAULT_PORTS: Final = (("edge", 8000), ("auth", 50051), ("session", 50052))


@dataclass(frozen=True)
class Wishes:
    """What the operator asked for; None: nothing.

    Args:
        ports: By name of the service.
        data_dir: For all services.
        mode: `development` or `production`.
        json_logs: Whether the services are to write JSON lines.
        redis: URL of the Redis, the Sentinels or the Cluster that keeps all state; None: SQLite files in the data folder.
            It may hold a password.
        tls: Folder of the certificates for mutual TLS between the services; None: as their settings have it.
    """

    ports: Mapping[str, int | None]
    data_dir: Path | None = None
    mode: str | None = None
    json_logs: bool = False
    redis: str | None = field(default=None, repr=False)
    tls: Path | None = None

    @property
    def run_dir(self) -> Path:
        """The folder of the run's own files."""
        return self.data_dir or DEFAULT_DATA_DIR


def wishes(options: argparse.Namespace, *, mode: str | None, json_logs: bool = False) -> Wishes:
    """Return what the command line asks for."""
    ports = {name: getattr(options, f"{name}_port") for name, _ in _DEFAULT_PORTS}
    tls = (options.data_dir or DEFAULT_DATA_DIR) / CERTIFICATES if getattr(options, "tls", False) else None
    return Wishes(ports, options.data_dir, mode, json_logs, options.redis, tls)


def add_start_options(parser: argparse.ArgumentParser) -> None:
    """Add the ports, the data folder and the engine."""
    for name, default in _DEFAULT_PORTS:
        parser.add_argument(
            f"--{name}-port",
            type=_port,
            metavar="PORT",
            help=f"port of the {name} service; 0: any free one (default: TIDEWIRE_{name.upper()}_PORT, or {default})",
        )
    data_dir_option(parser)
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="keep all state in this Redis instead of SQLite files: redis://host:port, rediss://host:port (TLS), unix:///path,"
        " redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port; a password goes before the"
        " host, as in redis://:password@host:port",
    )


def data_dir_option(parser: argparse.ArgumentParser) -> None:
    """Add the data folder."""
    parser.add_argument(
        "--data-dir",
        type=lambda text: Path(text).expanduser().absolute(),
        default=None,
        metavar="FOLDER",
        help=f"folder of the databases and of what `status` reads (default: {DEFAULT_DATA_DIR.name} in the checkout)",
    )


def add_this_python(parser: argparse.ArgumentParser) -> None:
    """Add the way round the environment, for those who bring their own: containers, packages, tests."""
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="use the Python that runs this command, with what is installed in it; make and change no environment",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)
