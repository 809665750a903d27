"""What the auth service is called by: gRPC, and HTTP for those that do not speak it."""

from collections.abc import Sequence

import grpc
from tidewire.auth.v1 import admin_pb2_grpc, auth_pb2_grpc
from tidewire.envoy.v3 import external_auth_pb2_grpc

from auth_service.adapters.grpc_api.admin import KeyAdminServicer
from auth_service.adapters.grpc_api.caller import Callers
from auth_service.adapters.grpc_api.ext_authz import ExtAuthzServicer
from auth_service.adapters.grpc_api.verification import AuthServicer
from auth_service.adapters.http_api.caller import HttpCallers
from auth_service.adapters.http_api.forward_auth import ForwardAuth
from auth_service.adapters.http_api.introspection import Introspection
from auth_service.adapters.http_api.server import HttpServer
from auth_service.adapters.http_api.verification import Verification
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.administration import Administration
from auth_service.core.ports import UseCharger
from auth_service.core.verifier import Verifier
from auth_service.settings import AuthSettings
from service_runtime.grpc_server import GrpcServer
from service_runtime.tls_http import server_ssl_context


def listeners(
    settings: AuthSettings,
    verifier: Verifier,
    administration: Administration,
    uses: UseCharger,
    hub: WatchHub,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
) -> tuple[GrpcServer, HttpServer | None]:
    """Return what serves over gRPC, and over HTTP where the settings name a port; neither listens yet.

    Args:
        settings: ports and bounds.
        verifier: decides about keys.
        administration: changes keys.
        uses: charges keys.
        hub: tells of changes.
        interceptors: run for each call over gRPC, in order.
    """
    callers = Callers(verifier, settings.service_token_value(), settings.callers_by_certificate)
    server = GrpcServer(settings, host=settings.host, port=settings.port, interceptors=interceptors)
    auth_pb2_grpc.add_AuthServiceServicer_to_server(AuthServicer(callers, verifier, hub), server.server)
    admin_pb2_grpc.add_KeyAdminServiceServicer_to_server(
        KeyAdminServicer(callers, administration, uses, hub), server.server
    )
    external_auth_pb2_grpc.add_AuthorizationServicer_to_server(ExtAuthzServicer(callers, verifier), server.server)
    return server, _http_server(settings, callers, verifier) if settings.http_port >= 0 else None


def _http_server(settings: AuthSettings, callers: Callers, verifier: Verifier) -> HttpServer:
    http_callers = HttpCallers(callers, settings.trusted_networks)
    endpoints = (
        ForwardAuth(http_callers, verifier),
        Introspection(http_callers, verifier),
        Verification(http_callers, verifier),
    )
    return HttpServer(
        [route for endpoint in endpoints for route in endpoint.routes()],
        host=settings.http_host,
        port=settings.http_port,
        tls=server_ssl_context(settings),
        deadline_s=settings.http_deadline_s,
        grace_s=settings.shutdown_grace_s,
    )
