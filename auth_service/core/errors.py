"""Everything that the auth service raises on purpose.

    AuthError
    ├── KeyFormatError          a text is no key
    ├── PermissionSyntaxError   a text is no permission
    ├── PepperError             peppers are missing, malformed, or not those of the store
    ├── InvalidFieldError       a request breaks a rule; says which field
    ├── CallerUnknownError      a call without a credential that is known
    ├── CallerNotAllowedError   a known caller that may not call this
    ├── KeyNotFoundError        an administrator named a key that is not there
    ├── KeyRevokedError         a revoked key was to change
    ├── KeyNotActiveError       a key that is disabled or expired was to change in a way that needs a good one
    ├── EtagMismatchError       the key changed since the caller read it
    ├── KeyExistsError          the id of a new key is taken
    ├── AlreadyBootstrappedError the first admin key was made before
    ├── RevisionGoneError       the change log no longer (or not yet) holds a revision
    ├── LimitExceededError      too many watchers or keys, or too large a batch
    └── StoreUnavailableError   the store did not answer

A denied key is none of these: it is a `Verdict`. No error carries a key or a secret.
"""


class AuthError(Exception):
    """Root of the auth service's errors."""


class KeyFormatError(AuthError):
    """A text is no well-formed key. Says never which text."""


class PermissionSyntaxError(AuthError):
    """A text is no permission."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class PepperError(AuthError):
    """Peppers are missing, malformed, or not those that the store's keys were made with."""


class InvalidFieldError(AuthError):
    """A field of a request breaks a rule.

    Args:
        field: its path in the request, e.g. `permissions[3]`.
        problem: what is wrong and what is allowed.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class CallerUnknownError(AuthError):
    """A call carries no credential, or one that is not known."""


class CallerNotAllowedError(AuthError):
    """The caller is known, but may not call this method."""


class KeyNotFoundError(AuthError):
    """No key has this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key has the id {key_id!r}")
        self.key_id = key_id


class KeyRevokedError(AuthError):
    """The key is revoked, and a revoked key cannot change."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id!r} is revoked and cannot change")
        self.key_id = key_id


class KeyNotActiveError(AuthError):
    """The key is disabled or expired, and the change needs one that is good."""

    def __init__(self, key_id: str, state: str) -> None:
        super().__init__(f"the key {key_id!r} is {state}; only one that is good can be rotated")
        self.key_id = key_id


class EtagMismatchError(AuthError):
    """The key changed since the caller read it."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id!r} has changed since it was read: read it again, then repeat the change")
        self.key_id = key_id


class KeyExistsError(AuthError):
    """The id of a new key is taken."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"a key with the id {key_id!r} is there already")
        self.key_id = key_id


class AlreadyBootstrappedError(AuthError):
    """The first admin key was made before."""


class RevisionGoneError(AuthError):
    """The change log does not reach from the revision asked for to the present."""

    def __init__(self, revision: int, problem: str) -> None:
        super().__init__(f"revision {revision}: {problem}")
        self.revision = revision


class LimitExceededError(AuthError):
    """Too many watchers or keys, or too large a batch."""


def too_many_keys(max_keys: int) -> LimitExceededError:
    """Return what is raised when a store may hold no more keys."""
    return LimitExceededError(f"the store holds {max_keys} keys, as many as it may: delete some, or raise max_keys")


class StoreUnavailableError(AuthError):
    """The key store did not answer; the driver's words are in the log, not here."""
