from pathlib import Path

import pytest

from service_runtime.settings import DEVELOPMENT_SERVICE_TOKEN
from service_runtime.tls_files import TlsFiles
from tests.support.authority import Authority
from tidewire_client.cli import credentials
from tidewire_client.cli.credentials import (
    admin_credential,
    check_url,
    default_client_id,
    edge_key,
    hosts_of_target,
    is_this_machine,
    key_id_of,
    sends_key_in_the_clear,
    tls_files,
)
from tidewire_client.cli.failures import UsageProblem

HERE, ELSEWHERE = "http://127.0.0.1:8000", "https://edge.example"
AUTH_HERE, AUTH_ELSEWHERE = "127.0.0.1:50051", "auth.example:50051"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_key_of_a_file_beats_the_variable(tmp_path: Path) -> None:
    file = write(tmp_path / "key", "from-file\n")
    found = edge_key(ELSEWHERE, file, {"TIDEWIRE_API_KEY": "from-variable"})
    assert (found.secret, str(file) in found.origin) == ("from-file", True)
    found = edge_key(ELSEWHERE, None, {"TIDEWIRE_API_KEY": " from-variable "})
    assert found.secret == "from-variable"
    assert "TIDEWIRE_API_KEY" in found.origin


def test_the_secret_is_in_no_repr() -> None:
    assert "from-variable" not in repr(edge_key(HERE, None, {"TIDEWIRE_API_KEY": "from-variable"}))


def test_the_development_key_is_for_this_machine_only() -> None:
    assert edge_key(HERE, None, {}).secret == "development"
    assert edge_key("http://localhost:8000", None, {"TIDEWIRE_API_KEY": ""}).secret == "development"
    with pytest.raises(UsageProblem, match="TIDEWIRE_API_KEY"):
        edge_key(ELSEWHERE, None, {})


def test_administrators_use_the_service_token_or_a_key(tmp_path: Path) -> None:
    both = {"TIDEWIRE_SERVICE_TOKEN": "token", "TIDEWIRE_API_KEY": "key"}
    assert admin_credential(AUTH_ELSEWHERE, None, both).secret == "token"
    assert admin_credential(AUTH_ELSEWHERE, None, {"TIDEWIRE_API_KEY": "key"}).secret == "key"
    assert admin_credential(AUTH_ELSEWHERE, write(tmp_path / "k", "of-file"), both).secret == "of-file"
    assert admin_credential(AUTH_HERE, None, {}).secret == DEVELOPMENT_SERVICE_TOKEN
    by_certificate = admin_credential(AUTH_ELSEWHERE, None, {}, tmp_path / "client.pem")
    assert (by_certificate.secret, "client.pem" in by_certificate.origin) == ("", True)
    assert admin_credential(AUTH_HERE, None, both, tmp_path / "client.pem").secret == "token"
    with pytest.raises(UsageProblem, match="TIDEWIRE_SERVICE_TOKEN"):
        admin_credential(AUTH_ELSEWHERE, None, {})
    with pytest.raises(UsageProblem):
        admin_credential("ipv4:127.0.0.1:1,10.0.0.1:1", None, {})


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "schl\u00fcssel", "\x00"])
def test_a_file_that_holds_no_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageProblem, match="key on one line") as raised:
        edge_key(HERE, write(tmp_path / "key", text), {})
    assert not text.strip() or text not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read: No such file"):
        edge_key(HERE, tmp_path / "none", {})


def test_a_whole_key_is_refused_where_its_id_is_wanted_and_not_repeated() -> None:
    assert key_id_of("4fK2") == "4fK2"
    assert key_id_of("dev_valid_test_key") == "dev_valid_test_key"
    with pytest.raises(UsageProblem) as raised:
        key_id_of("tw_live_4fK2_0secret0")
    assert "0secret0" not in str(raised.value)


@pytest.mark.parametrize(
    ("user", "client_id"),
    [("ann", "cli-ann"), ("ann.b@x", "cli-ann-b-x"), ("\u00e4", "cli--"), ("x" * 99, "cli-" + "x" * 60)],
)
def test_the_client_id_is_the_same_for_one_user(monkeypatch: pytest.MonkeyPatch, user: str, client_id: str) -> None:
    monkeypatch.setattr(credentials.getpass, "getuser", lambda: user)
    assert default_client_id() == client_id


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError

    monkeypatch.setattr(credentials.getpass, "getuser", nobody)
    assert default_client_id() == "cli"


@pytest.mark.parametrize("url", ["http://h", "https://h:1", "http://[::1]:8000", "http://h/tidewire"])
def test_addresses(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "h:8000", "ws://h", "http://", "http://h:0", "http://h:99999", "http://h:x", "http://[1"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageProblem, match="--url"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "clear"),
    [(HERE, False), (ELSEWHERE, False), ("http://edge.example", True), ("http://[::1]:1", False), ("http://[1", True)],
)
def test_a_key_in_the_clear(url: str, clear: bool) -> None:
    try:
        assert sends_key_in_the_clear(url) is clear
    except ValueError:
        assert url == "http://[1"


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("127.0.0.1:50051", ["127.0.0.1"]),
        ("localhost:1", ["localhost"]),
        ("[::1]:1", ["::1"]),
        ("dns:///auth:1", ["auth"]),
        ("dns:auth:1", ["auth"]),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", ["10.0.0.1", "10.0.0.2"]),
        ("ipv6:[::1]:1", ["::1"]),
        ("[", [""]),
    ],
)
def test_hosts_of_targets(target: str, hosts: list[str]) -> None:
    assert hosts_of_target(target) == hosts


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("", False)],
)
def test_this_machine(host: str, here: bool) -> None:
    assert is_this_machine(host) is here


def test_tls_needs_files_that_go_together(tmp_path: Path) -> None:
    ours = Authority().identity(tmp_path)
    assert tls_files(None, None, None) is None
    assert tls_files(ours.ca, None, None) == TlsFiles(ours.ca)
    assert tls_files(ours.ca, ours.cert, ours.key) == ours.files()
    for wrong in ((ours.ca, ours.cert, None), (None, ours.cert, ours.key), (ours.ca, None, ours.key)):
        with pytest.raises(UsageProblem, match="go together"):
            tls_files(*wrong)
    with pytest.raises(UsageProblem, match="cannot be read"):
        tls_files(tmp_path / "none", None, None)
    with pytest.raises(UsageProblem, match="does not hold certificates"):
        tls_files(write(tmp_path / "pem", "x"), None, None)


def test_a_certificate_needs_no_other_credential_and_gives_way_to_one(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    for target in (AUTH_HERE, AUTH_ELSEWHERE):
        found = admin_credential(target, None, {}, certificate=certificate)
        assert (found.secret, found.origin) == ("", f"the certificate {certificate}")
    given = {"TIDEWIRE_SERVICE_TOKEN": "token"}
    assert admin_credential(AUTH_HERE, None, given, certificate=certificate).secret == "token"
