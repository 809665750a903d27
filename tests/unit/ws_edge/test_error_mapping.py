"""Whatever the other services say becomes an error frame with a row in the table."""

from __future__ import annotations

import pytest
from tidewire.auth.v1 import auth_pb2
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from tests.support.contracts import documented_reasons
from ws_edge.adapters.session_events import answer_of
from ws_edge.core.authentication import DENIALS
from ws_edge.core.errors import RULES, ContractBroken, EdgeError, ErrorType, FrameError
from ws_edge.core.ports import Failed, FailureKind
from ws_edge.core.refusals import FAILURE_TYPES, failure_error

REASONS = documented_reasons("tidewire/session/v1/message.proto")


def test_frame_errors_are_the_only_errors_of_the_edges_core() -> None:
    """`ContractBroken` is only ever the cause of one."""
    assert EdgeError.__subclasses__() == [ContractBroken, FrameError]


@pytest.mark.parametrize("error_type", ErrorType)
def test_every_error_type_becomes_a_frame_error_with_code_and_words(error_type: ErrorType) -> None:
    error = FrameError(error_type)
    rule = RULES[error_type]
    assert (error.code, error.message, error.close) == (rule.code, rule.message, rule.close)
    assert 400 <= error.code < 600
    assert str(error) == error.message != ""


def test_every_kind_of_failure_has_an_error_type() -> None:
    assert set(FAILURE_TYPES) == set(FailureKind)
    assert set(FAILURE_TYPES.values()) <= set(RULES)


def test_every_verdict_but_valid_has_an_error_type() -> None:
    codes = {name.removeprefix("VERDICT_CODE_") for name in auth_pb2.VerdictCode.keys()}  # noqa: SIM118
    assert set(DENIALS) == codes - {"UNSPECIFIED", "VALID"}


@pytest.mark.parametrize("reason", [*REASONS, "UNSPECIFIED"])
@pytest.mark.parametrize("safe", [True, False])
def test_every_reason_of_the_session_service_keeps_what_is_known_of_repeating(reason: str, safe: bool) -> None:
    number = message_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    event = pb.Event(failed=pb.CommandFailed(reason=number, message="words", safe_to_repeat=safe))
    answer = answer_of(event, "failed")
    assert isinstance(answer, Failed)
    error = failure_error(answer, repeat_is_safe=False)
    assert error.error_type in RULES
    assert error.close is None, "a command that failed does not end the connection"
    assert error.details == {"safe_to_repeat": safe}


def test_a_full_channel_is_an_error_of_the_channel_which_waiting_does_not_mend() -> None:
    answer = Failed(FailureKind.CHANNEL_LIMIT, "channel is full: at most 2 members", safe_to_repeat=True)
    error = failure_error(answer, repeat_is_safe=True, channel="room")
    assert (error.error_type, error.code, error.channel) == (ErrorType.CHANNEL_ERROR, 409, "room")
    assert (error.message, error.retry_after_ms) == ("Channel is full: at most 2 members", None)


def test_a_reason_that_this_edge_does_not_know_yet_is_a_failure_too() -> None:
    event = pb.Event()
    event.failed.MergeFromString(pb.CommandFailed(reason=999).SerializeToString())  # type: ignore[arg-type]
    answer = answer_of(event, "failed")
    assert isinstance(answer, Failed)
    assert (answer.kind, answer.safe_to_repeat) == (FailureKind.INTERNAL, False)
    assert answer.message


def test_an_answer_that_this_edge_does_not_know_is_a_failure() -> None:
    answer = answer_of(pb.Event(), None)
    assert isinstance(answer, Failed)
    assert answer.kind is FailureKind.INTERNAL
