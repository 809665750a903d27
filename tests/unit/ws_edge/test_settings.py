"""Settings of the edge."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service_runtime.settings import SettingsError, make_settings
from service_runtime.tls_files import TlsFiles
from ws_edge.settings import EdgeSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("TIDEWIRE_"):
            monkeypatch.delenv(name)


def test_the_public_port_has_a_certificate_of_its_own() -> None:
    given = {"public_tls_cert_file": "cert", "public_tls_key_file": "key", "tls_ca_file": "ca"}
    assert make_settings(EdgeSettings, given).public_tls == TlsFiles(cert=Path("cert"), key=Path("key"))
    assert make_settings(EdgeSettings, {"tls_ca_file": "ca"}).public_tls is None


@pytest.mark.parametrize("alone", ["public_tls_cert_file", "public_tls_key_file"])
def test_certificate_and_key_go_together(alone: str) -> None:
    with pytest.raises(SettingsError, match=r"TIDEWIRE_EDGE_PUBLIC_TLS_CERT_FILE: .* go together"):
        make_settings(EdgeSettings, {alone: "file"})


@pytest.mark.parametrize("port", ["admin_port", "metrics_port"])
def test_every_worker_has_a_port_of_its_own(port: str) -> None:
    assert make_settings(EdgeSettings, {port: 65_534, "workers": 2})
    with pytest.raises(SettingsError, match=f"{port} leaves no ports for all workers"):
        make_settings(EdgeSettings, {port: 65_535, "workers": 2})


def test_the_admin_port_is_never_that_of_clients() -> None:
    with pytest.raises(SettingsError, match=r"TIDEWIRE_EDGE_ADMIN_PORT: .* a port of its own"):
        make_settings(EdgeSettings, {"admin_port": 8000})
