"""Who may look: what the admin port asks of whoever decides about keys, and the refusals that come of it."""

from __future__ import annotations

from typing import Final, Protocol

ACTION: Final = "admin"
RESOURCE: Final = "debug"
"""The permission that a key needs: `admin:debug`. Only the auth service decides if it has it."""


class Refused(Exception):
    """A request that is not served.

    Args:
        status: Of HTTP.
        error_type: For programs, named as in the errors of the wire protocol.
        message: For people; never holds a key.
        retry_after_s: After how many seconds it is worth trying again; 0: not said.
    """

    def __init__(self, status: int, error_type: str, message: str, *, retry_after_s: int = 0) -> None:
        self.status = status
        self.error_type = error_type
        self.message = message
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Admission(Protocol):
    """Decides if the holder of a key may look."""

    async def admit(self, api_key: str, address: str) -> str:
        """Return the id of a key that is good and permits `admin:debug` everywhere.

        Args:
            api_key: As it was shown; ASCII, and kept nowhere.
            address: The IP address that it came from, by which failed attempts are counted.

        Raises:
            Refused: 401 for a key that is not good, 403 for one that permits too little, 429 for one that comes too often,
                503 if nobody can say.
        """


def unknown_key() -> Refused:
    """Return the refusal of a key that is not good; why is not said."""
    return Refused(401, "invalid_key", "Invalid API key")


def not_permitted(missing: str) -> Refused:
    """Return the refusal of a good key that permits too little.

    Args:
        missing: What it lacks, in the auth service's words.
    """
    return Refused(403, "permission_denied", f"Permission denied: {missing} is missing")


def undecided() -> Refused:
    """Return the refusal of a request that nobody can decide about: the key may be good or not."""
    return Refused(
        503, "unavailable", "The auth service cannot be reached, and it alone decides about keys", retry_after_s=1
    )
