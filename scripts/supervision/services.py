"""Which services there are, and with which flags each is to be started.

What the operator gave on the command line beats a service's variable, which beats what this module would choose.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from auth_service.settings import AuthSettings
from scripts.environment import ROOT
from scripts.start_options import Wishes
from service_runtime.settings import SHARED_PREFIX, ServiceSettings, SettingsError, make_settings, variable
from session_service.settings import SessionSettings
from ws_edge.settings import EdgeSettings

# Time for calls under way when everything ends: together with the edge's drain it must stay under five seconds.
SHUTDOWN_GRACE_S: Final = 1.2

MISSING_CREDENTIAL: Final = (
    "TIDEWIRE_SERVICE_TOKEN: not set, too short (at least 32 characters), or the one of development mode. It is the"
    " credential that the services show each other; production mode needs one of your own. Make one:"
    ' python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
)
_ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on here


@dataclass(frozen=True)
class ServiceKind:
    """What is fixed of a service.

    Args:
        name: Short, for people.
        module: What `python -m` runs.
        settings: Its settings.
        peers: Which setting names the address of which other service.
        serves_grpc: Whether it is asked by gRPC; else by HTTP.
        store: Which setting says where its state is; empty: it has none.
    """

    name: str
    module: str
    settings: type[ServiceSettings]
    peers: Mapping[str, str] = field(default_factory=dict)
    serves_grpc: bool = True
    store: str = ""


# In the order of starting: each comes after those that it calls.
KINDS: Final = (
    ServiceKind("auth", "auth_service", AuthSettings, store="store_url"),
    ServiceKind("session", "session_service", SessionSettings, {"auth_target": "auth"}, store="engine_url"),
    ServiceKind(
        "edge", "ws_edge", EdgeSettings, {"auth_target": "auth", "session_target": "session"}, serves_grpc=False
    ),
)


@dataclass(frozen=True)
class ServicePlan:
    """A service that is to be started.

    Args:
        kind: Which.
        settings: What it will find.
        flags: What it is given on its command line, by name of the setting.
        variables: What it is given in its environment, where other users of the machine cannot read it.
    """

    kind: ServiceKind
    settings: ServiceSettings
    flags: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.kind.name

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(getattr(self.settings, "host"))  # noqa: B009 - each service has one, their common base has not

    @property
    def port(self) -> int:
        """Where it listens; 0: any free port."""
        return int(getattr(self.settings, "port"))  # noqa: B009

    def command(self, python: str, ready_file: Path, port: int, addresses: Mapping[str, str]) -> list[str]:
        """Return the command that starts it.

        Args:
            python: The interpreter.
            ready_file: Where it says that it listens.
            port: Where it is to listen.
            addresses: Of the services that run, by name.
        """
        peers = {setting: addresses[peer] for setting, peer in self._peers().items()}
        flags = {**self.flags, **peers, "port": str(port), "ready_file": str(ready_file)}
        # -P: the folder that the operator stands in is no place to import from.
        return [python, "-P", "-m", self.kind.module, *_arguments(flags)]

    def _peers(self) -> dict[str, str]:
        cls = self.kind.settings
        return {setting: peer for setting, peer in self.kind.peers.items() if variable(cls, setting) not in os.environ}


def plan_services(wishes: Wishes) -> list[ServicePlan]:
    """Return what is to be started, in order.

    Raises:
        SettingsError: some setting of some service is not allowed; the text has a line for each.
    """
    plans, problems = [], []
    for kind in KINDS:
        flags = _flags(kind, wishes)
        asked = _by_variable(kind, wishes)
        variables = {variable(kind.settings, name): str(value) for name, value in asked.items()}
        try:
            plans.append(ServicePlan(kind, make_settings(kind.settings, {**flags, **asked}), flags, variables))
        except SettingsError as error:
            problems += str(error).splitlines()
    if problems:
        raise SettingsError("\n".join(_tidy(problems)))
    return plans


def _tidy(problems: Sequence[str]) -> list[str]:
    """Say each problem once; the missing token, which is one problem of all services, with its remedy."""
    shown = (MISSING_CREDENTIAL if "service_token must be set" in problem else problem for problem in problems)
    return list(dict.fromkeys(shown))


def child_environment(plan: ServicePlan) -> dict[str, str]:
    """Return the variables of a service's process: its own, and this checkout is importable, installed or not."""
    path = [str(ROOT), str(ROOT / "protos"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **plan.variables, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}


def address(host: str, port: int) -> str:
    """Return where a service that listens on `host` can be reached from this machine."""
    reachable = _ANY_ADDRESS.get(host, host)
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def _flags(kind: ServiceKind, wishes: Wishes) -> dict[str, str]:
    chosen: dict[str, object] = {"shutdown_grace_s": SHUTDOWN_GRACE_S}
    if "data_dir" in kind.settings.model_fields:
        chosen["data_dir"] = wishes.run_dir
    flags = {name: value for name, value in chosen.items() if not _has_variable(kind.settings, name)}
    asked: dict[str, object | None] = {"port": wishes.ports.get(kind.name), "mode": wishes.mode}
    if "data_dir" in kind.settings.model_fields:
        asked["data_dir"] = wishes.data_dir
    if wishes.json_logs:
        asked["log_format"] = "json"
    flags.update({name: value for name, value in asked.items() if value is not None})
    return {name: str(value) for name, value in flags.items()}


def _by_variable(kind: ServiceKind, wishes: Wishes) -> dict[str, object]:
    """Return what is given in the environment: what is secret, and what has no flag with a value."""
    asked: dict[str, object] = {}
    if kind.store and wishes.redis is not None:
        asked[kind.store] = wishes.redis
    if wishes.tls is not None:
        from scripts.certificates import Folder  # only now: it imports a package that is there for development only

        asked.update(Folder(wishes.tls).settings_of(kind.name))
    return asked


def _has_variable(cls: type[ServiceSettings], name: str) -> bool:
    shared = name in ServiceSettings.model_fields and f"{SHARED_PREFIX}{name.upper()}" in os.environ
    return shared or variable(cls, name) in os.environ


def _arguments(flags: Mapping[str, str]) -> Sequence[str]:
    return [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", value)]
