"""A verdict as the answer of token introspection (RFC 7662 section 2.2)."""

from auth_service.core.verification import Verdict, VerdictCode


def introspection(verdict: Verdict) -> dict[str, str | int | bool]:
    """Return what is known of a key that is good now; of any other one nothing but that it is not.

    Args:
        verdict: of `Verifier.introspect`, which charges nothing.

    Returns:
        `scope` holds the permissions, `client_id` the key's id, `sub` its owner; `exp` and `iat` are Unix seconds, and
        `exp` is not there for a key without an end.
    """
    if verdict.code is not VerdictCode.VALID:
        return {"active": False}
    found: dict[str, str | int | bool] = {
        "active": True,
        "scope": " ".join(verdict.permissions),
        "client_id": verdict.key_id,
        "sub": verdict.owner,
        "token_type": "Bearer",
        "iat": verdict.create_ms // 1000,
    }
    if verdict.expire_ms is not None:
        found["exp"] = verdict.expire_ms // 1000
    return found
