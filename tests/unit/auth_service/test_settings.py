"""Settings of the auth service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auth_service.settings import AuthSettings
from service_runtime.settings import SettingsError, make_settings

TOKEN = "x" * 40


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("TIDEWIRE_"):
            monkeypatch.delenv(name)


def refused(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        make_settings(AuthSettings, given)
    return str(caught.value)


def test_files_lie_in_the_data_folder_unless_said_otherwise() -> None:
    settings = make_settings(AuthSettings, {"data_dir": "/x"})
    assert (settings.store_path, settings.pepper_path) == (Path("/x/auth.db"), Path("/x/pepper.json"))
    assert make_settings(AuthSettings, {"store_url": "sqlite:///y/z.db"}).store_path == Path("/y/z.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "postgres:x", "x", "http://:word@h"])
def test_other_stores_are_refused_and_not_shown(url: str) -> None:
    text = refused(store_url=url)
    assert text.startswith(
        "TIDEWIRE_AUTH_STORE_URL: the value given is not allowed: must be sqlite:///path/to/file, redis:"
    )
    assert "word" not in text.replace("password", "")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://", "names no host"),
        ("redis://h:port", "a port must be a number"),
        ("redis://:pa/word@h", "names no host"),
        ("redis://:1/word@h", "names no host"),
        ("redis://:[word]@h", "cannot be read"),
        ("redis://a,b", "redis:// names one server"),
        ("redis://h?word=1@h", "has a @ after the host"),
        ("redis+word://h", "must be redis://host:port"),
        ("redis+sentinel://h", "redis+sentinel:// must name the service"),
        ("unix://", "a Unix socket is unix:///path"),
        ("unix://word/path", "a Unix socket is unix:///path"),
        ("unix://:pa/word@/path", "a Unix socket is unix:///path"),
    ],
)
def test_a_redis_that_cannot_be_is_refused_with_the_reason_and_not_shown(url: str, why: str) -> None:
    text = refused(store_url=url)
    assert text.startswith(f"TIDEWIRE_AUTH_STORE_URL: the value given is not allowed: {why}")
    assert text.endswith("special characters of a password are written as %XX")
    assert "word" not in text.replace("password", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h", "redis://h:6379"),
        ("redis://:secret@h:1/2", "redis://h:1"),
        ("rediss://user:secret@h:1?ssl_ca_certs=/x", "rediss://h:1"),
        ("unix:///s", "unix:///s"),
        ("unix://user:secret@/s?db=1", "unix:///s"),
        ("redis://[::1]:1/0", "redis://[::1]:1"),
        ("redis+sentinel://:secret@a,b:1/main?sentinel_password=secret", "redis+sentinel://a:26379,b:1/main"),
        ("rediss+cluster://:secret@a:1,b:2", "rediss+cluster://a:1,b:2"),
    ],
)
def test_a_store_on_redis_whose_password_is_never_shown(url: str, shown: str) -> None:
    settings = make_settings(AuthSettings, {"store_url": url})
    assert settings.redis_address is not None
    assert settings.redis_address.shown == shown
    assert "secret" not in repr(settings).replace("secret_", "") + repr(settings.redis_address)


def test_a_file_is_no_redis() -> None:
    assert make_settings(AuthSettings, {}).redis_address is None
    assert make_settings(AuthSettings, {"store_url": "sqlite:///y/z.db"}).redis_address is None
    assert make_settings(AuthSettings, {"store_url": ""}).store_path == Path(".tidewire/auth.db")


@pytest.mark.parametrize("namespace", ["", "a{b", "a b", "x" * 65])
def test_a_namespace_must_not_break_the_hash_tag(namespace: str) -> None:
    assert refused(store_namespace=namespace).startswith("TIDEWIRE_AUTH_STORE_NAMESPACE: ")


def test_peppers_are_checked_and_never_shown() -> None:
    good = "2:" + "q" * 32 + ",1:" + "p" * 32
    settings = make_settings(AuthSettings, {"pepper": good})
    assert settings.pepper is not None
    assert settings.pepper.get_secret_value() == good
    assert "q" * 32 not in repr(settings)
    text = refused(pepper="too-short-secret")
    assert text.startswith("TIDEWIRE_AUTH_PEPPER: ")
    assert "fewer than 32" in text
    assert "too-short-secret" not in text


@pytest.mark.parametrize(
    ("mode", "wanted", "known"),
    [("development", None, True), ("development", True, True), ("development", False, False)],
)
def test_development_keys_are_known_in_development(mode: str, wanted: bool | None, known: bool) -> None:
    settings = make_settings(AuthSettings, {"mode": mode, "development_keys": wanted})
    assert settings.knows_development_keys is known


@pytest.mark.parametrize("wanted", [None, False])
def test_development_keys_are_never_known_in_production(wanted: bool | None) -> None:
    given = {"mode": "production", "service_token": TOKEN, "development_keys": wanted}
    assert not make_settings(AuthSettings, given).knows_development_keys


def test_production_cannot_be_told_to_know_them() -> None:
    text = refused(mode="production", service_token=TOKEN, development_keys=True)
    assert text.startswith("TIDEWIRE_AUTH_DEVELOPMENT_KEYS: True is not allowed: must be false or not set")


def test_callers_by_certificate_need_mutual_tls_and_groups_that_there_are() -> None:
    mutual = {"tls_ca_file": "ca", "tls_cert_file": "c", "tls_key_file": "k", "tls_client_auth": True}
    settings = make_settings(AuthSettings, {"caller_certificates": "edge=verify", **mutual})
    assert list(settings.callers_by_certificate) == ["edge"]
    assert refused(caller_certificates="edge=verify").startswith(
        "TIDEWIRE_AUTH_CALLER_CERTIFICATES: caller_certificates needs tls_client_auth"
    )
    text = refused(caller_certificates="edge=all", **mutual)
    assert text.startswith(
        "TIDEWIRE_AUTH_CALLER_CERTIFICATES: edge=all is not allowed: must be name=group,group;name=*"
    )


def test_networks_are_read_from_a_list_with_commas() -> None:
    settings = make_settings(AuthSettings, {"http_trusted_peers": "10.0.0.0/8, fd00::/8,192.0.2.1"})
    assert [str(network) for network in settings.trusted_networks] == ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]
    assert make_settings(AuthSettings, {}).trusted_networks == ()


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.local", "*"])
def test_what_is_no_network_is_refused(text: str) -> None:
    problem = refused(http_trusted_peers=text)
    assert problem.startswith(f"TIDEWIRE_AUTH_HTTP_TRUSTED_PEERS: {text} is not allowed: must be networks such as")
