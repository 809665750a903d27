"""HTTP of the auth service over TLS: certificates that are shown, demanded, renewed, and who is known by one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.authority import Authority
from tests.support.http_auth import Answered, HttpAuth
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


async def _ended(running: HttpAuth) -> bool:
    return not running.process.running


def over_tls(folder: Path, **flags: object) -> HttpAuth:
    """Return a service whose key `development` is good."""
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return HttpAuth(folder, named, {"TIDEWIRE_MODE": "development"})


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


async def test_everything_also_over_tls(tmp_path: Path) -> None:
    authority = Authority()
    identity = authority.identity(tmp_path)
    running = over_tls(tmp_path, tls_cert_file=identity.cert, tls_key_file=identity.key)
    running.process.start()
    tls = trusting(authority)
    answer = await running.call("GET", "/v1/forward-auth", tls=tls, headers=running.proxy("development"))
    assert (answer.status, answer.code) == (200, "VALID")
    form = {"token": "development"}
    answer = await running.call("POST", "/v1/introspect", tls=tls, data=form, headers=running.caller())
    assert (answer.status, answer.json["active"]) == (200, True)
    answer = await running.call("POST", "/v1/verify", tls=tls, json={"apiKey": "development"}, headers=running.caller())
    assert answer.json["verdict"]["code"] == "VERDICT_CODE_VALID"
    with pytest.raises(aiohttp.ClientError):
        await running.call("GET", "/v1/forward-auth", headers=running.proxy("development"))
    running.end()


async def test_a_caller_may_be_known_by_its_certificate(tmp_path: Path) -> None:
    authority = Authority()
    running = over_tls(
        tmp_path, **authority.identity(tmp_path).flags(), caller_certificates="proxy.test=verify;other.test=check"
    )
    running.process.start()
    with pytest.raises((aiohttp.ClientError, OSError)):
        await running.call("GET", "/v1/forward-auth", tls=trusting(authority), headers=running.proxy("development"))

    async def as_caller(name: str, path: str, **more: Any) -> Answered:
        identity = authority.identity(tmp_path, name)
        tls = trusting(authority)
        tls.load_cert_chain(identity.cert, identity.key)
        return await running.call("POST", path, tls=tls, **more)

    held = {"X-API-Key": "development"}
    assert (await as_caller("proxy.test", "/v1/forward-auth", headers=held)).status == 200
    assert (await as_caller("proxy.test", "/v1/introspect", data={"token": "development"})).json["active"] is True
    answer = await as_caller("proxy.test", "/v1/check", json={"keyId": "development"})
    assert (answer.status, answer.code) == (403, "CALLER_NOT_ALLOWED")
    answer = await as_caller("other.test", "/v1/forward-auth", headers=held)
    assert (answer.status, answer.code) == (500, "CALLER_NOT_ALLOWED")
    answer = await as_caller("stranger.test", "/v1/check", json={"keyId": "development"})
    assert (answer.status, answer.code) == (401, "CALLER_UNKNOWN")
    answer = await as_caller("proxy.test", "/v1/introspect", data={"token": "x"}, headers={"Authorization": "Basic x"})
    assert (answer.status, answer.code) == (401, "CALLER_UNKNOWN")
    running.end()


async def test_a_certificate_that_is_renewed_is_shown_to_new_connections(tmp_path: Path) -> None:
    before, after = Authority(), Authority()
    identity = before.identity(tmp_path)
    running = over_tls(tmp_path, **identity.flags())
    running.process.start()

    async def accepted(trusted: Authority, signed_by: Authority) -> bool:
        own = signed_by.identity(tmp_path / "own")
        tls = trusting(trusted)
        tls.load_cert_chain(own.cert, own.key)
        try:
            answer = await running.call("GET", "/v1/forward-auth", tls=tls, headers=running.proxy("development"))
        except (aiohttp.ClientError, OSError):
            return False
        return answer.status == 200

    assert await accepted(before, before)
    identity.key.write_bytes(b"half writ")
    assert await accepted(before, before)
    after.identity(tmp_path)
    assert await accepted(after, after)
    assert not await accepted(after, before)
    assert not await accepted(before, after)
    running.end()


async def test_a_certificate_that_cannot_be_used_ends_the_start_with_a_line(tmp_path: Path) -> None:
    identity = Authority().identity(tmp_path)
    other = Authority().identity(tmp_path / "other")
    running = over_tls(tmp_path, tls_cert_file=identity.cert, tls_key_file=other.key)
    running.process.launch()
    await eventually(lambda: _ended(running))
    assert running.process.exit_code == 1
    assert "Traceback" not in running.process.log()
