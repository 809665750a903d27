import inspect

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc.aio import AioRpcError, Metadata

from tidewire_client import errors


def fault(code: grpc.StatusCode, words: str = "", reason: str = "", **metadata: str) -> AioRpcError:
    trailing = Metadata()
    if reason:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tests", metadata=metadata))
        rich = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=words, details=[detail])
        trailing = Metadata(("grpc-status-details-bin", rich.SerializeToString()))
    return AioRpcError(code, Metadata(), trailing, details=words)


EXPECTED = {
    grpc.StatusCode.UNAVAILABLE: errors.ServiceUnavailable,
    grpc.StatusCode.CANCELLED: errors.ServiceUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.ServiceTimeout,
    grpc.StatusCode.UNAUTHENTICATED: errors.CallerNotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: errors.CallerNotAllowed,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.LimitExceeded,
}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_has_its_exception(code: grpc.StatusCode) -> None:
    problem = errors.from_rpc(fault(code, "words of a driver"), "auth")
    assert type(problem) is EXPECTED.get(code, errors.ServerFault)
    assert "auth" in str(problem)
    assert "driver" not in str(problem)
    assert problem.reason == ""
    assert problem.safe_to_repeat


def test_words_and_reason_of_a_service_are_kept() -> None:
    problem = errors.from_rpc(fault(grpc.StatusCode.NOT_FOUND, "no such key", "KEY_NOT_FOUND"), "auth")
    assert str(problem) == "no such key"
    assert problem.reason == "KEY_NOT_FOUND"


def test_the_field_of_an_invalid_request_is_named() -> None:
    problem = errors.from_rpc(
        fault(grpc.StatusCode.INVALID_ARGUMENT, "owner: too long", "INVALID_FIELD", field="owner"), "auth"
    )
    assert isinstance(problem, errors.InvalidRequest)
    assert problem.field == "owner"
    assert errors.InvalidRequest("no field").field == ""


def test_it_says_if_repeating_is_safe() -> None:
    problem = errors.from_rpc(fault(grpc.StatusCode.DEADLINE_EXCEEDED), "session", safe_to_repeat=False)
    assert not problem.safe_to_repeat


def test_a_refused_connection_tells_code_and_error_type() -> None:
    problem = errors.ConnectionRefused("API key revoked", code=4000, error_type="key_revoked")
    assert (problem.code, problem.error_type, problem.reason) == (4000, "key_revoked", "key_revoked")


def test_a_lost_connection_tells_when_to_come_back() -> None:
    assert errors.ConnectionLost("draining", retry_after_s=0.5).retry_after_s == 0.5
    assert errors.ConnectionLost("gone").retry_after_s is None


def test_all_are_in_the_tree_of_the_module() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert all(issubclass(kind, errors.TidewireError) for kind in kinds)
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)
