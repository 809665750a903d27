"""Settings: where values come from, what is refused and in which words, what is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from service_runtime.settings import (
    DEVELOPMENT_SERVICE_TOKEN,
    ServiceSettings,
    SettingsError,
    load_settings,
    make_settings,
    settings_config,
    shown_default,
    unit,
    variable,
)

SECRET = "canary-secret-0123456789-0123456789-0123456789"


class DemoSettings(ServiceSettings):
    """A service for tests."""

    model_config = settings_config("DEMO")

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 100% of it")
    wait_s: float = Field(1.5, gt=0, description="Time to wait", json_schema_extra={"unit": "seconds"})
    data_dir: Path = Field(Path("data"), description="Folder")
    debug: bool = Field(False, description="Show more")
    maybe: bool | None = Field(None, description="Perhaps")
    kind: Literal["small", "large"] = Field("small", description="Size")
    password: SecretStr | None = Field(None, description="A secret")
    url: str = Field("", description="An address")

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url and not url.startswith("sqlite://"):
            raise ValueError("sqlite:///path/to/file")
        return url

    @field_validator("password")
    @classmethod
    def _long(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and len(password.get_secret_value()) < 8:
            raise ValueError("at least 8 characters are needed")
        return password


class RequiredSettings(ServiceSettings):
    """A service with a setting that has no default."""

    model_config = settings_config("REQUIRED")

    target: str = Field(description="Where to")


def load(*flags: str) -> DemoSettings:
    return load_settings(DemoSettings, flags, prog="demo", description="A demo.")


def refused(name: str, value: object) -> str:
    with pytest.raises(SettingsError) as caught:
        make_settings(DemoSettings, {name: value})
    return str(caught.value)


def test_defaults() -> None:
    settings = load()
    assert (settings.port, settings.wait_s, settings.mode, settings.maybe) == (8000, 1.5, "development", None)
    assert settings.service_token_value() == DEVELOPMENT_SERVICE_TOKEN


def test_a_flag_beats_the_own_variable_which_beats_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_LOG_LEVEL", "error")
    assert load().log_level == "error"
    monkeypatch.setenv("TIDEWIRE_DEMO_LOG_LEVEL", "warning")
    assert load().log_level == "warning"
    assert load("--log-level", "debug").log_level == "debug"


def test_only_what_all_services_have_can_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_PORT", "1")
    monkeypatch.setenv("TIDEWIRE_OTHER_PORT", "2")
    assert load().port == 8000
    monkeypatch.setenv("TIDEWIRE_DEMO_PORT", "3")
    assert load().port == 3


def test_flags_of_every_kind() -> None:
    settings = load("--port", "0", "--wait-s", "2", "--data-dir", "/x", "--debug", "--no-maybe", "--kind", "large")
    assert (settings.port, settings.wait_s, settings.data_dir) == (0, 2.0, Path("/x"))
    assert (settings.debug, settings.maybe, settings.kind) == (True, False, "large")
    assert load("--no-debug").debug is False


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("port", "70000", "TIDEWIRE_DEMO_PORT: 70000 is not allowed: must be less than or equal to 65535"),
        ("port", "-1", "TIDEWIRE_DEMO_PORT: -1 is not allowed: must be greater than or equal to 0"),
        ("port", "x", "TIDEWIRE_DEMO_PORT: x is not allowed: must be a valid integer"),
        ("wait_s", "0", "TIDEWIRE_DEMO_WAIT_S: 0 is not allowed: must be greater than 0"),
        ("wait_s", "inf", "TIDEWIRE_DEMO_WAIT_S: inf is not allowed: must be a finite number"),
        ("wait_s", "nan", "TIDEWIRE_DEMO_WAIT_S: nan is not allowed: must be a finite number"),
        ("kind", "huge", "TIDEWIRE_DEMO_KIND: huge is not allowed: must be 'small' or 'large'"),
        ("url", "redis://x", "TIDEWIRE_DEMO_URL: redis://x is not allowed: must be sqlite:///path/to/file"),
        ("mode", "live", "TIDEWIRE_DEMO_MODE: live is not allowed: must be 'development' or 'production'"),
        ("debug", "perhaps", "TIDEWIRE_DEMO_DEBUG: perhaps is not allowed: must be a valid boolean"),
    ],
)
def test_an_error_names_the_variable_what_was_given_and_what_is_allowed(name: str, value: str, says: str) -> None:
    assert refused(name, value).startswith(says)


def test_a_wrong_variable_is_refused_like_a_wrong_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEWIRE_DEMO_PORT", "x")
    monkeypatch.setenv("TIDEWIRE_DEMO_WAIT_S", "-1")
    with pytest.raises(SystemExit) as caught:
        load()
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["TIDEWIRE_DEMO_PORT", "TIDEWIRE_DEMO_WAIT_S"]


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match=r"TIDEWIRE_REQUIRED_TARGET: must be given"):
        make_settings(RequiredSettings, {})
    assert shown_default(RequiredSettings.model_fields["target"]) == "required"


def test_an_unknown_flag_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load("--prot", "1")
    assert caught.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_a_wrong_secret_is_named_and_not_shown() -> None:
    text = refused("password", "hunter2")
    assert text == "TIDEWIRE_DEMO_PASSWORD: the value given is not allowed: at least 8 characters are needed"


def test_secrets_are_no_flags_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN", SECRET)
    monkeypatch.setenv("TIDEWIRE_DEMO_PASSWORD", SECRET)
    settings = load()
    assert settings.service_token_value() == SECRET
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    monkeypatch.setenv("TIDEWIRE_DEMO_PORT", "x")
    monkeypatch.setenv("TIDEWIRE_DEMO_TLS_CLIENT_AUTH", "true")
    with pytest.raises(SettingsError) as caught:
        make_settings(DemoSettings, {})
    assert SECRET not in str(caught.value)
    with pytest.raises(SystemExit):
        load("--service-token", SECRET)


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.write_text(f"{SECRET}\n")
    shared.write_text("of-all-services")
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN_FILE", str(shared))
    monkeypatch.setenv("TIDEWIRE_DEMO_PASSWORD_FILE", str(own))
    settings = make_settings(DemoSettings, {})
    assert settings.service_token_value() == "of-all-services"
    assert settings.password is not None
    assert settings.password.get_secret_value() == SECRET
    monkeypatch.setenv("TIDEWIRE_DEMO_SERVICE_TOKEN_FILE", str(own))
    assert make_settings(DemoSettings, {}).service_token_value() == SECRET, "the service's own comes first"
    monkeypatch.setenv("TIDEWIRE_DEMO_SERVICE_TOKEN", "the-value")
    assert make_settings(DemoSettings, {}).service_token_value() == "the-value", "a value comes before a file"


def test_a_file_of_a_secret_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for file, reason in ((tmp_path / "missing", "No such file"), (binary, "it is no text")):
        monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN_FILE", str(file))
        with pytest.raises(SettingsError, match=f"TIDEWIRE_SERVICE_TOKEN_FILE: {file} cannot be read: {reason}"):
            make_settings(DemoSettings, {})


def test_only_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("1234")
    monkeypatch.setenv("TIDEWIRE_DEMO_PORT_FILE", str(file))
    assert make_settings(DemoSettings, {}).port == 8000


def test_help_lists_every_setting_with_variable_default_and_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Port to listen on; 100% of it [TIDEWIRE_DEMO_PORT; default: 8000]" in text
    assert "--wait-s SECONDS Time to wait [TIDEWIRE_DEMO_WAIT_S; default: 1.5 seconds]" in text
    assert "--kind small|large" in text
    assert "--debug, --no-debug" in text
    assert "default: not set" in text
    assert "--service-token" not in text
    assert "secrets are read from the environment only: TIDEWIRE_DEMO_SERVICE_TOKEN, TIDEWIRE_DEMO_PASSWORD" in text
    for name in DemoSettings.model_fields:
        assert variable(DemoSettings, name) in text


@pytest.mark.parametrize("token", [DEVELOPMENT_SERVICE_TOKEN, "x" * 31, ""])
def test_production_needs_a_service_token_of_its_own(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(DemoSettings, {"mode": "production", "service_token": token})
    assert str(caught.value) == (
        "TIDEWIRE_DEMO_SERVICE_TOKEN: service_token must be set in production mode, to at least 32 characters"
    )
    assert make_settings(DemoSettings, {"mode": "production", "service_token": "x" * 32}).mode == "production"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tls_cert_file": "c.pem"}, "TIDEWIRE_DEMO_TLS_CERT_FILE"),
        ({"tls_key_file": "k.pem"}, "TIDEWIRE_DEMO_TLS_CERT_FILE"),
        ({"tls_client_auth": True}, "TIDEWIRE_DEMO_TLS_CLIENT_AUTH"),
        ({"tls_client_auth": True, "tls_ca_file": "ca.pem"}, "TIDEWIRE_DEMO_TLS_CLIENT_AUTH"),
        (
            {"tls_client_auth": True, "tls_cert_file": "c.pem", "tls_key_file": "k.pem"},
            "TIDEWIRE_DEMO_TLS_CLIENT_AUTH",
        ),
    ],
)
def test_settings_of_tls_go_together(given: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(DemoSettings, given)
    assert str(caught.value).startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("mode", "log_format", "json"),
    [
        ("development", "auto", False),
        ("production", "auto", True),
        ("development", "json", True),
        ("production", "console", False),
    ],
)
def test_the_form_of_logs_follows_the_mode_unless_it_is_set(mode: str, log_format: str, json: bool) -> None:
    settings = make_settings(DemoSettings, {"mode": mode, "log_format": log_format, "service_token": SECRET})
    assert settings.json_logs is json


def test_units_and_defaults_for_people() -> None:
    fields = DemoSettings.model_fields
    assert (unit(fields["wait_s"]), unit(fields["port"])) == ("seconds", "")
    assert shown_default(fields["port"]) == "8000"
    assert shown_default(fields["password"]) == "not set"
    assert shown_default(fields["service_token"]) == "secret"
