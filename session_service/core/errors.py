"""Everything that the session service refuses, or cannot do.

SessionError
├── InvalidField        a field breaks a rule
├── CallerUnknown       no credential, or one that is not known
├── CallerNotAllowed    the credential is good, but not for this
├── ThreadNotFound
├── ClientNotFound      no live connection of the client
├── EngineUnavailable   nothing was stored, and that is known
├── EngineTimeout       nobody knows if it was stored
├── LimitExceeded       a bound was reached
├── ChannelLimit        a channel has too many members
├── AuthUnavailable     the caller could not be verified
├── ServiceDraining     the service is about to stop
└── InternalError       a defect of ours
"""

from __future__ import annotations

from typing import ClassVar


class SessionError(Exception):
    """Root of the errors that a caller is told about; `safe_to_repeat`: it is known that nothing was stored."""

    safe_to_repeat: ClassVar[bool] = True


class InvalidField(SessionError):
    """A field of the request breaks a rule."""

    def __init__(self, field: str, rule: str) -> None:
        self.field = field
        self.rule = rule
        super().__init__(f"{field}: {rule}")


class CallerUnknown(SessionError):
    """The call carries no credential, or one that is not good."""

    def __init__(self, why: str = "no credential that is known") -> None:
        super().__init__(why)


class CallerNotAllowed(SessionError):
    """The credential is good, but not for this."""

    def __init__(self, missing: str) -> None:
        self.missing = missing
        super().__init__(f"not allowed: {missing}")


class ThreadNotFound(SessionError):
    """No thread of the workspace has this id."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"no thread {thread_id!r} in this workspace")


class ClientNotFound(SessionError):
    """No live connection of this client."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        super().__init__(f"no live connection of {client_id!r} in this workspace")


class EngineUnavailable(SessionError):
    """The engine did not take it: it was not stored."""

    def __init__(self, why: str = "the message store is not available") -> None:
        super().__init__(why)


class EngineTimeout(SessionError):
    """The engine did not answer in time, and may have stored it."""

    safe_to_repeat = False

    def __init__(self, why: str = "the message store did not answer in time") -> None:
        super().__init__(why)


class LimitExceeded(SessionError):
    """A bound was reached."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"limit reached: {what}")


class ChannelLimit(SessionError):
    """A channel has as many members as it may have, or more than one answer can list: not a matter of trying again."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


class AuthUnavailable(SessionError):
    """The auth service did not answer, so that the caller could not be verified."""

    def __init__(self) -> None:
        super().__init__("the auth service is not available")


class ServiceDraining(SessionError):
    """The service is about to stop: use another."""

    def __init__(self) -> None:
        super().__init__("the session service is about to stop")


class InternalError(SessionError):
    """A defect of the service."""

    safe_to_repeat = False

    def __init__(self) -> None:
        super().__init__("internal error")
