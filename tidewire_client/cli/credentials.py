"""Whom a command calls and as whom: addresses, keys and tokens, from options, files and the environment.

A key is never an argument: what stands on a command line can be read by every process of the machine.
"""

from __future__ import annotations

import getpass
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from service_runtime.settings import DEVELOPMENT_SERVICE_TOKEN
from service_runtime.tls_files import TlsFiles, TlsFilesError
from tidewire_client.cli.failures import UsageProblem

API_KEY_VARIABLE: Final = "TIDEWIRE_API_KEY"
SERVICE_TOKEN_VARIABLE: Final = "TIDEWIRE_SERVICE_TOKEN"  # noqa: S105 - a name, not a secret
DEVELOPMENT_KEY: Final = "development"
MAX_KEY_FILE_BYTES: Final = 4096

_ELSEWHERE: Final = "the development mode of this machine (the default for addresses of this machine)"
_WHOLE_KEY: Final = re.compile(r"tw_[a-z]+_[A-Za-z0-9]+_.+")
_KEY_IN_TEXT: Final = re.compile(r"(tw_[a-z]+_[A-Za-z0-9]+_)\w+")


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or token, and where it came from in words; the secret is not in the `repr`."""

    secret: str = field(repr=False)
    origin: str


def edge_key(url: str, key_file: Path | None, environment: Mapping[str, str]) -> Credential:
    """Return the key for an edge: of the file, of the environment, or, on this machine, that of development mode.

    Raises:
        UsageProblem: There is none.
    """
    found = _given(key_file, environment)
    if found is not None:
        return found
    if is_this_machine(_host(url)):
        return Credential(DEVELOPMENT_KEY, _ELSEWHERE)
    raise UsageProblem(f"no key for {url}: set {API_KEY_VARIABLE}, or name a file with --key-file")


def admin_credential(
    target: str, key_file: Path | None, environment: Mapping[str, str], *, certificate: Path | None = None
) -> Credential:
    """Return the credential for the auth service: of the file, of the environment, or, on this machine, of development mode.

    With a client certificate no other credential is needed, and none is made up: the secret is empty then.

    Raises:
        UsageProblem: There is none.
    """
    if key_file is None and environment.get(SERVICE_TOKEN_VARIABLE):
        return Credential(environment[SERVICE_TOKEN_VARIABLE], f"the variable {SERVICE_TOKEN_VARIABLE}")
    found = _given(key_file, environment)
    if found is not None:
        return found
    if certificate is not None:
        return Credential("", f"the certificate {certificate}")
    if all(is_this_machine(host) for host in hosts_of_target(target)):
        return Credential(DEVELOPMENT_SERVICE_TOKEN, _ELSEWHERE)
    raise UsageProblem(
        f"no credential for {target}: set {SERVICE_TOKEN_VARIABLE}, or {API_KEY_VARIABLE} to a key with admin:*, "
        "or name a file with --key-file, or a client certificate with --tls-cert-file"
    )


def key_id_of(text: str) -> str:
    """Return a key id; a whole key is refused, without repeating it.

    Raises:
        UsageProblem: It is a whole key.
    """
    if _WHOLE_KEY.fullmatch(text):
        raise UsageProblem(
            "KEY_ID is the id of a key, not the key: the part after the second underscore, as `tidewire keys list` shows it"
        )
    return text


def without_keys(text: str) -> str:
    """Return a text in which no key can be read any more."""
    return _KEY_IN_TEXT.sub(r"\1...", text)


def key_to_verify(file: Path | None, stdin: TextIO) -> str:
    """Return the key that is to be verified: of the file, or of stdin; a terminal is asked without an echo.

    Raises:
        UsageProblem: There is none.
    """
    if file is not None:
        text = _read(file, MAX_KEY_FILE_BYTES).decode(errors="replace")
    elif stdin.isatty():
        text = getpass.getpass("Key: ")
    else:
        text = stdin.read(MAX_KEY_FILE_BYTES)
    key = text.strip()
    if not key:
        raise UsageProblem("no key to verify: give it on stdin, or name a file with --from")
    return key


def default_client_id() -> str:
    """Return a client id that is the same for one user each time, so that ids and acknowledgements mean something."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        return "cli"
    return f"cli-{re.sub(r'[^A-Za-z0-9_-]', '-', user)}"[:64]


def check_url(url: str) -> str:
    """Return the address of an edge.

    Raises:
        UsageProblem: It is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise UsageProblem(f"--url: {url!r} is no address of an edge: http://host:port or https://host is")
    return url


def sends_key_in_the_clear(url: str) -> bool:
    """Say if the key goes to another machine without TLS."""
    return urlsplit(url).scheme == "http" and not is_this_machine(_host(url))


def tls_files(ca: Path | None, cert: Path | None, key: Path | None) -> TlsFiles | None:
    """Return what to trust and to show; None without certificates to trust: plain text.

    Raises:
        UsageProblem: The files do not go together, or cannot be used.
    """
    if (cert is None) != (key is None) or (ca is None and cert is not None):
        raise UsageProblem("--tls-cert-file and --tls-key-file go together, and with --tls-ca-file")
    if ca is None:
        return None
    files = TlsFiles(ca, cert, key)
    try:
        files.read()
    except TlsFilesError as error:
        raise UsageProblem(str(error)) from None
    return files


def hosts_of_target(target: str) -> list[str]:
    """Return the hosts of a gRPC target, e.g. of `dns:///auth:50051` or `ipv4:10.0.0.1:1,10.0.0.2:1`."""
    address = target.rpartition("/")[2]
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        address = address.removeprefix(scheme)
    return [_host(f"//{one}") for one in address.split(",")]


def is_this_machine(host: str) -> bool:
    """Say if a host is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _given(key_file: Path | None, environment: Mapping[str, str]) -> Credential | None:
    if key_file is not None:
        secret = _read(key_file, MAX_KEY_FILE_BYTES).decode(errors="replace").strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            raise UsageProblem(f"--key-file: {key_file} does not hold a key on one line")
        return Credential(secret, f"the file {key_file}")
    secret = environment.get(API_KEY_VARIABLE, "").strip()
    return Credential(secret, f"the variable {API_KEY_VARIABLE}") if secret else None


def _read(path: Path, max_bytes: int = 1 << 20) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_bytes)
    except OSError as exc:
        raise UsageProblem(f"{path} cannot be read: {exc.strerror}") from None
