"""Errors carry fields, and say if a command may be repeated."""

import pytest

from session_service.core import errors

MADE = [
    errors.InvalidField("topic", "must be good"),
    errors.CallerUnknown(),
    errors.CallerNotAllowed("publish:chat"),
    errors.ThreadNotFound("t-1"),
    errors.ClientNotFound("bob"),
    errors.EngineUnavailable(),
    errors.EngineTimeout(),
    errors.LimitExceeded("too many"),
    errors.ChannelLimit("channel is full"),
    errors.AuthUnavailable(),
    errors.ServiceDraining(),
    errors.InternalError(),
]


def test_every_error_is_made_here() -> None:
    assert {type(error) for error in MADE} == set(errors.SessionError.__subclasses__())


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_every_error_has_words_and_is_in_the_docstring(error: errors.SessionError) -> None:
    assert str(error)
    assert type(error).__name__ in (errors.__doc__ or "")


def test_only_what_may_have_been_stored_is_not_safe_to_repeat() -> None:
    unsafe = {type(error) for error in MADE if not error.safe_to_repeat}
    assert unsafe == {errors.EngineTimeout, errors.InternalError}


def test_errors_carry_what_they_are_about() -> None:
    invalid = errors.InvalidField("topic", "must be good")
    assert (invalid.field, invalid.rule, str(invalid)) == ("topic", "must be good", "topic: must be good")
    assert errors.CallerNotAllowed("publish:chat").missing == "publish:chat"
    assert errors.ThreadNotFound("t-1").thread_id == "t-1"
    assert errors.ClientNotFound("bob").client_id == "bob"
    assert errors.LimitExceeded("too many").what == "too many"
