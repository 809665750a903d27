"""Errors carry fields, and never a key."""

import pytest

from auth_service.core import errors

MADE = [
    errors.KeyFormatError("not in the form of a key"),
    errors.PermissionSyntaxError("unknown action"),
    errors.PepperError("too short"),
    errors.InvalidFieldError("permissions[3]", "must be good"),
    errors.CallerUnknownError("no credential"),
    errors.CallerNotAllowedError("lacks admin"),
    errors.KeyNotFoundError("k1"),
    errors.KeyRevokedError("k1"),
    errors.KeyNotActiveError("k1", "disabled"),
    errors.EtagMismatchError("k1"),
    errors.KeyExistsError("k1"),
    errors.AlreadyBootstrappedError("before"),
    errors.RevisionGoneError(7, "gone"),
    errors.LimitExceededError("too many"),
    errors.StoreUnavailableError("away"),
]


def test_every_error_of_the_core_is_made_here() -> None:
    in_core = {error for error in errors.AuthError.__subclasses__() if error.__module__ == errors.__name__}
    assert {type(error) for error in MADE} == in_core


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_every_error_has_words_and_is_in_the_docstring(error: errors.AuthError) -> None:
    assert str(error)
    assert type(error).__name__ in (errors.__doc__ or "")


def test_errors_carry_what_they_are_about() -> None:
    invalid = errors.InvalidFieldError("permissions[3]", "must be good")
    assert (invalid.field, invalid.problem, str(invalid)) == (
        "permissions[3]",
        "must be good",
        "permissions[3]: must be good",
    )
    assert errors.PermissionSyntaxError("unknown action").problem == "unknown action"
    assert {
        error("k1").key_id for error in (errors.KeyNotFoundError, errors.KeyRevokedError, errors.KeyExistsError)
    } == {"k1"}
    gone = errors.RevisionGoneError(7, "gone")
    assert (gone.revision, str(gone)) == (7, "revision 7: gone")


def test_a_store_that_is_full_says_how_many_keys_it_may_hold_and_what_to_do() -> None:
    error = errors.too_many_keys(1_000)
    assert isinstance(error, errors.LimitExceededError)
    assert str(error) == "the store holds 1000 keys, as many as it may: delete some, or raise max_keys"
