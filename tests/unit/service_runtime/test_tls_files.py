"""Files of TLS: good ones are taken, broken ones refused, once each time they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from service_runtime.tls_files import TlsContent, TlsFiles, TlsFilesError, WatchedTls
from tests.support.authority import Authority, Identity


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(tmp_path: Path, authority: Authority) -> Identity:
    return authority.identity(tmp_path)


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("tidewire_tls_reloads_total", {"result": result}) or 0.0


def test_what_the_files_hold(identity: Identity) -> None:
    content = identity.files().read()
    assert content == TlsContent(identity.ca.read_bytes(), identity.cert.read_bytes(), identity.key.read_bytes())
    assert TlsFiles().read() == TlsContent(None, None, None)


def test_a_private_key_does_not_print(identity: Identity) -> None:
    assert "PRIVATE" not in repr(identity.files().read())


def test_a_certificate_needs_its_key(identity: Identity) -> None:
    with pytest.raises(TlsFilesError, match="go together"):
        TlsFiles(identity.ca, identity.cert)
    with pytest.raises(TlsFilesError, match="go together"):
        TlsFiles(identity.ca, None, identity.key)


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def one_and_a_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content + content[: len(content) // 2])


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\x00")


def locked(path: Path) -> None:
    path.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh2wTPX5C1w2gICCAAw\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )


@pytest.mark.parametrize("breaking", [Path.unlink, half, binary, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_broken_file_is_named(identity: Identity, name: str, breaking: Callable[[Path], object]) -> None:
    path = getattr(identity, name)
    breaking(path)
    with pytest.raises(TlsFilesError, match=str(path)):
        identity.files().read()


@pytest.mark.parametrize(("name", "breaking"), [("ca", one_and_a_half), ("key", locked)])
def test_a_half_written_bundle_and_a_locked_key_are_refused(
    identity: Identity, name: str, breaking: Callable[[Path], object]
) -> None:
    path = getattr(identity, name)
    breaking(path)
    with pytest.raises(TlsFilesError, match=str(path)):
        identity.files().read()


def test_a_key_of_another_certificate_is_refused(identity: Identity, tmp_path: Path, authority: Authority) -> None:
    other = authority.identity(tmp_path / "other")
    with pytest.raises(TlsFilesError, match="KEY_VALUES_MISMATCH"):
        TlsFiles(identity.ca, identity.cert, other.key).read()


def test_files_that_change_while_they_are_read_are_refused(
    identity: Identity, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def read_and_replace(path: Path) -> bytes:
        content = read(path)
        if path == identity.ca:
            path.write_bytes(content + content)
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_replace)
    with pytest.raises(TlsFilesError, match="changed while"):
        identity.files().read()


def test_nothing_is_new_while_nothing_changes(identity: Identity) -> None:
    watched = WatchedTls(identity.files())
    identity.cert.touch()
    assert (watched.renewed(), watched.renewed()) == (None, None)


def test_new_files_are_taken_once(identity: Identity, tmp_path: Path, authority: Authority) -> None:
    watched = WatchedTls(identity.files())
    before = counted("taken")
    authority.identity(tmp_path)
    assert watched.renewed() == identity.files().read() == watched.content
    assert watched.renewed() is None
    assert counted("taken") == before + 1


def test_broken_files_keep_what_was_and_are_told_once(identity: Identity, tmp_path: Path, authority: Authority) -> None:
    watched = WatchedTls(identity.files())
    good, before = watched.content, counted("refused")
    half(identity.cert)
    with capture_logs() as lines:
        assert [watched.renewed() for _ in range(3)] == [None] * 3
    assert [line["log_level"] for line in lines] == ["error"]
    assert str(identity.cert) in lines[0]["cause"]
    assert (watched.content, counted("refused")) == (good, before + 1)
    authority.identity(tmp_path)
    assert watched.renewed() == watched.content != good


def test_files_are_looked_at_no_more_often_than_asked(identity: Identity, tmp_path: Path, authority: Authority) -> None:
    now = 0.0
    watched = WatchedTls(identity.files(), interval_s=1.0, monotonic=lambda: now)
    authority.identity(tmp_path)
    now = 0.9
    assert watched.renewed() is None
    now = 1.0
    assert watched.renewed() is not None


def test_files_must_be_good_at_the_beginning(identity: Identity) -> None:
    identity.ca.unlink()
    with pytest.raises(TlsFilesError, match="cannot be read: No such file"):
        WatchedTls(identity.files())
