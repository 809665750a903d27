"""Settings of the session service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service_runtime.redis_address import parse_redis_address
from service_runtime.settings import SettingsError, make_settings
from session_service.core.retention import MAX_BOUND, RetentionRule
from session_service.settings import SessionSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("TIDEWIRE_"):
            monkeypatch.delenv(name)


def made(**given: object) -> SessionSettings:
    return make_settings(SessionSettings, given)


def refused(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        made(**given)
    return str(caught.value)


def test_the_store_lies_in_the_data_folder_unless_said_otherwise() -> None:
    assert made(data_dir="/x").store_path == Path("/x/session.db")
    assert made(engine_url="sqlite:///y/z.db").store_path == Path("/y/z.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "x", "redis://", "redis://h:x", "redis://user:pa/ss@h"])
def test_other_engines_are_refused_without_a_word_of_theirs(url: str) -> None:
    text = refused(engine_url=url)
    assert text.startswith("TIDEWIRE_SESSION_ENGINE_URL: the value given is not allowed: ")
    assert "pa/ss" not in text


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h", "rediss://user:p%40ss@h:1/2", "redis://:p@[::1]:6379", "unix:///run/redis"),
        *("redis+cluster://a:1,b:2", "redis+sentinel://:p@a:1,b:2/service"),
    ],
)
def test_redis_is_an_engine_and_its_password_is_not_shown(url: str) -> None:
    settings = made(engine_url=url)
    assert settings.redis_address == parse_redis_address(url)
    assert url not in repr(settings)
    assert made().redis_address is None
    assert made(engine_url="sqlite:///y/z.db").redis_address is None


def test_retention_is_the_default_and_the_rules() -> None:
    settings = made(
        retention_messages=5, retention_age_s=60, retention_bytes=2048, retention_rules="short-*=1,2,3; @*=9,9,9"
    )
    policy = settings.retention
    assert policy.rule_for("tests/w1/chat") == RetentionRule(5, 60.0, 2048)
    assert policy.rule_for("tests/w1/short-1") == RetentionRule(1, 2.0, 3)
    assert policy.rule_for("tests/w1/@bob") == RetentionRule(9, 9.0, 9)


def test_a_bad_rule_is_refused_with_its_form() -> None:
    text = refused(retention_rules="chat=1")
    assert text == (
        "TIDEWIRE_SESSION_RETENTION_RULES: chat=1 is not allowed:"
        " must be pattern=messages,seconds,bytes, unlike 'chat=1'"
    )


@pytest.mark.parametrize("name", ["retention_messages", "retention_age_s", "retention_bytes", "idempotency_window_s"])
@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "1e300"])
def test_bounds_that_no_store_can_keep_are_refused(name: str, value: str) -> None:
    assert refused(**{name: value}).startswith(f"TIDEWIRE_SESSION_{name.upper()}: {value} is not allowed: must be ")


def test_the_greatest_bounds_are_for_ever() -> None:
    settings = made(retention_messages=MAX_BOUND, retention_age_s=MAX_BOUND, retention_bytes=MAX_BOUND)
    assert settings.retention.rule_for("tests/w1/chat") == RetentionRule(MAX_BOUND, MAX_BOUND, MAX_BOUND)


def test_certificates_that_stand_in_for_the_token_need_mutual_tls() -> None:
    mutual = {"tls_ca_file": "ca", "tls_cert_file": "c", "tls_key_file": "k", "tls_client_auth": True}
    assert made(caller_certificates=" edge ;; spiffe://a/b ", **mutual).service_certificates == {"edge", "spiffe://a/b"}
    assert refused(caller_certificates="edge").startswith(
        "TIDEWIRE_SESSION_CALLER_CERTIFICATES: caller_certificates needs tls_client_auth"
    )
