"""The auth service as it is, with one method more that does nothing: what a call costs without any work.

`python -m benchmarks.harness.echo_auth` takes the flags of `python -m auth_service`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import auth_pb2, keys_pb2

from auth_service import app, listeners
from auth_service.settings import AuthSettings
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import run_service
from service_runtime.settings import load_settings

ECHO_SERVICE: Final = "tidewire.benchmarks.Echo"
ECHO_METHOD: Final = f"/{ECHO_SERVICE}/Echo"
# As large as the answer to VerifyKey for the keys of `seed`.
ANSWER: Final = auth_pb2.VerifyKeyResponse(
    verdict=auth_pb2.Verdict(
        code=auth_pb2.VERDICT_CODE_VALID,
        key_id="0" * 16,
        owner="benchmarks",
        permissions=["*:*"],
        limits=keys_pb2.KeyLimits(),
        expire_time=Timestamp(seconds=2_000_000_000),
        revision=1_000,
    )
)


async def echo(request: auth_pb2.VerifyKeyRequest, context: Any) -> auth_pb2.VerifyKeyResponse:
    """Answer, and do nothing else."""
    return ANSWER


class EchoServer(GrpcServer):
    """A server that has the echo beside its services."""

    async def start(self, service_names: Sequence[str]) -> int:
        """Add the echo, and start."""
        method = grpc.unary_unary_rpc_method_handler(
            echo,
            request_deserializer=auth_pb2.VerifyKeyRequest.FromString,
            response_serializer=auth_pb2.VerifyKeyResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(ECHO_SERVICE, {"Echo": method})
        self.server.add_generic_rpc_handlers((handler,))
        return await super().start(service_names)


def main(argv: Sequence[str]) -> int:
    """Serve until told to stop; returns the exit code."""
    setattr(listeners, "GrpcServer", EchoServer)  # noqa: B010 - the composition itself stays as it is
    settings = load_settings(AuthSettings, argv, prog="echo_auth", description="The auth service with an echo.")
    return run_service("auth", settings, functools.partial(app.serve, settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
