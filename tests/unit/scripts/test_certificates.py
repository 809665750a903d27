"""Certificates for development: what is in them, who can read them, and that none is replaced unasked."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from auth_service.settings import AuthSettings
from scripts import manage
from scripts.certificates import OPERATOR, SERVICES, Folder, make_certificates, report
from scripts.environment import SetupError
from scripts.start_options import wishes
from scripts.supervision.services import plan_services
from service_runtime.settings import make_settings

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "certs")
    make_certificates(made, now=NOW)
    return made


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_found_under_all_its_names(folder: Folder, name: str) -> None:
    names = read(folder.cert(name)).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"{name}.tidewire", name, "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("name", [*SERVICES, OPERATOR])
def test_a_certificate_is_of_the_authority_and_good_for_its_use_only(folder: Folder, name: str) -> None:
    certificate = read(folder.cert(name))
    certificate.verify_directly_issued_by(read(folder.ca))
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    uses = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    server = {ExtendedKeyUsageOID.SERVER_AUTH} if name in SERVICES else set()
    assert uses == {ExtendedKeyUsageOID.CLIENT_AUTH, *server}
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder.cert(name), folder.key(name))


def test_the_authority_signs_and_nothing_else(folder: Folder) -> None:
    authority = read(folder.ca)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert authority.not_valid_before_utc < NOW < authority.not_valid_after_utc < NOW + timedelta(days=825)


def test_only_the_owner_reads_them(folder: Folder) -> None:
    assert {path.stat().st_mode & 0o777 for path in folder.files()} == {0o600}
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert sorted(folder.path.iterdir()) == sorted(folder.files())


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(folder: Folder) -> None:
    before = folder.ca.read_bytes()
    with pytest.raises(SetupError, match=r"ca\.pem.*already there.*--force"):
        make_certificates(folder)
    assert folder.ca.read_bytes() == before
    folder.ca.unlink()
    with pytest.raises(SetupError, match="already there"):
        make_certificates(folder)
    make_certificates(folder, force=True)
    assert folder.complete()
    assert folder.ca.read_bytes() != before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="file/certs cannot be written"):
        make_certificates(Folder(tmp_path / "file" / "certs"))


def test_the_printed_settings_are_settings(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in folder.variables():
        name, _, value = line.partition("=")
        assert f"export {line}" in "\n".join(report(folder))
        monkeypatch.setenv(name, value.strip("'"))
    settings = make_settings(AuthSettings, {})
    assert (settings.tls_cert_file, settings.tls_client_auth) == (folder.cert("auth"), True)
    assert sorted(settings.callers_by_certificate) == ["edge.tidewire", "operator.tidewire"]


def test_the_command_makes_them_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["certs", "--this-python", "--out", str(tmp_path / "here")]
    assert manage.main(command) == 0
    assert f"TIDEWIRE_EDGE_TLS_CA_FILE='{tmp_path}/here/ca.pem'" in capsys.readouterr().out
    assert manage.main(command) == 1
    assert "already there" in capsys.readouterr().err
    assert manage.main([*command, "--force"]) == 0


def test_start_with_tls_gives_each_service_its_own(tmp_path: Path) -> None:
    options = manage._parse(["start", "--tls", "--data-dir", str(tmp_path)])
    wanted = wishes(options, mode=None)
    assert wanted.tls == tmp_path / "certs"
    make_certificates(Folder(wanted.tls))
    for plan in plan_services(wanted):
        assert plan.settings.tls_cert_file == wanted.tls / f"{plan.name}.pem"
        assert plan.variables[f"TIDEWIRE_{plan.name.upper()}_TLS_CLIENT_AUTH"] == "True"
