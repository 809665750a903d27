import pytest

from tidewire_client import errors
from tidewire_client.cli.failures import (
    EXIT_CODES_HELP,
    CommandFailed,
    ExitCode,
    exit_code,
    hint,
    usage_record,
)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (errors.ServiceUnavailable("x"), ExitCode.UNAVAILABLE),
        (errors.ServiceTimeout("x"), ExitCode.UNAVAILABLE),
        (errors.ConnectionLost("x"), ExitCode.UNAVAILABLE),
        (errors.CallerNotAllowed("x"), ExitCode.NOT_ALLOWED),
        (errors.ConnectionRefused("x", code=4000), ExitCode.NOT_ALLOWED),
        (errors.ConnectionRefused("x", code=4003), ExitCode.FAILED),
        (errors.NotFound("x"), ExitCode.NOT_FOUND),
        (errors.InvalidRequest("x"), ExitCode.USAGE),
        (errors.FailedPrecondition("x"), ExitCode.FAILED),
        (errors.LimitExceeded("x"), ExitCode.FAILED),
        (errors.ServerFault("x"), ExitCode.FAILED),
        (errors.TidewireError("x"), ExitCode.FAILED),
    ],
)
def test_exit_codes(cause: errors.TidewireError, code: ExitCode) -> None:
    assert exit_code(cause) is code
    assert CommandFailed(cause, "").exit_code is code


def test_every_exit_code_is_documented() -> None:
    assert all(f"{int(code)} " in EXIT_CODES_HELP for code in ExitCode)


def test_hints_name_what_can_be_changed() -> None:
    def of(cause: errors.TidewireError) -> str:
        return hint(cause, address="ADDRESS", credential="CREDENTIAL")

    assert "ADDRESS" in of(errors.ConnectionLost("x"))
    assert "CREDENTIAL" in of(errors.CallerNotAllowed("x"))
    assert of(errors.NotFound("x")) == ""
    assert "before you repeat it" in of(errors.ServiceTimeout("x", safe_to_repeat=False))


def test_errors_for_programs() -> None:
    failed = CommandFailed(errors.ServiceTimeout("late", reason="ENGINE_TIMEOUT", safe_to_repeat=False), "do this")
    assert failed.record() == {
        "error": {
            "message": "late",
            "type": "ServiceTimeout",
            "reason": "ENGINE_TIMEOUT",
            "safe_to_repeat": False,
            "hint": "do this",
            "exit_code": 3,
        }
    }
    assert usage_record("wrong")["error"].keys() == failed.record()["error"].keys()
