"""What a command that fails says and how it ends: exit codes, words, and what to do about it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from tidewire_client.errors import (
    CallerNotAllowed,
    ConnectionRefused,
    InvalidRequest,
    NotFound,
    ServiceTimeout,
    ServiceUnavailable,
    TidewireError,
)

AUTHENTICATION_CLOSE_CODE: Final = 4000

EXIT_CODES_HELP: Final = """\
Exit codes: 0 done; 1 refused or failed; 2 wrong usage, or a value that breaks a rule; 3 a service cannot be reached or \
does not answer; 4 the key is wrong, or does not allow it; 5 not found; 6 a threshold of load is broken; 7 under load, \
messages were lost, doubled or out of order; 130 ended by Ctrl-C; 141 nobody reads the output."""


class ExitCode(IntEnum):
    """How the process ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    THRESHOLD = 6
    MESSAGES_WRONG = 7
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class UsageProblem(Exception):
    """An option or a variable is missing or wrong; the text says which, and what is right."""


class CommandFailed(Exception):
    """A call of a command failed.

    Args:
        cause: What the client raised.
        hint: What to do about it, if it is a matter of the address or the credential.
    """

    def __init__(self, cause: TidewireError, hint: str) -> None:
        self.cause = cause
        self.hint = hint
        super().__init__(str(cause))

    @property
    def exit_code(self) -> ExitCode:
        """How the process ends."""
        return exit_code(self.cause)

    def record(self) -> dict[str, Any]:
        """Return the error for programs."""
        return {
            "error": {
                "message": str(self.cause),
                "type": type(self.cause).__name__,
                "reason": self.cause.reason,
                "safe_to_repeat": self.cause.safe_to_repeat,
                "hint": self.hint,
                "exit_code": int(self.exit_code),
            }
        }


def exit_code(cause: TidewireError) -> ExitCode:
    """Return the exit code for what the client raised."""
    if isinstance(cause, ServiceUnavailable | ServiceTimeout):
        return ExitCode.UNAVAILABLE
    if isinstance(cause, CallerNotAllowed) or denied(cause):
        return ExitCode.NOT_ALLOWED
    if isinstance(cause, NotFound):
        return ExitCode.NOT_FOUND
    return ExitCode.USAGE if isinstance(cause, InvalidRequest) else ExitCode.FAILED


def denied(cause: TidewireError) -> bool:
    """Say if an edge refused the key as such."""
    return isinstance(cause, ConnectionRefused) and cause.code == AUTHENTICATION_CLOSE_CODE


def hint(cause: TidewireError, *, address: str, credential: str) -> str:
    """Return what to do about a failure.

    Args:
        cause: What the client raised.
        address: What was called, and how to name another one.
        credential: Where the credential came from, and how to name another one.
    """
    code = exit_code(cause)
    words = []
    if code is ExitCode.UNAVAILABLE:
        words.append(f"Called was {address}.")
    if code is ExitCode.NOT_ALLOWED:
        words.append(f"The credential came from {credential}.")
    if not cause.safe_to_repeat:
        words.append("It may have been done all the same: look before you repeat it.")
    return " ".join(words)


def usage_record(problem: str) -> dict[str, Any]:
    """Return a wrong usage for programs."""
    fields = {"message": problem, "type": "Usage", "reason": "", "safe_to_repeat": True, "hint": ""}
    return {"error": {**fields, "exit_code": int(ExitCode.USAGE)}}
