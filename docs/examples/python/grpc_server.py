"""A gRPC server that only holders of good keys reach: `python grpc_server.py`."""

import asyncio
import os

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from tidewire_client import KeyVerifier
from tidewire_client.grpc_guard import KeyInterceptor, current_verdict

PERMISSIONS = {"/shop.v1.Orders/Place": ("publish", "orders")}


async def place(request: StringValue, context: grpc.aio.ServicerContext) -> StringValue:
    """Place an order in the name of the key's owner."""
    return StringValue(value=f"{request.value} for {current_verdict().owner}")


def handlers() -> grpc.GenericRpcHandler:
    """Return the service; with generated code this is `add_OrdersServicer_to_server`."""
    handler = grpc.unary_unary_rpc_method_handler(place, StringValue.FromString, StringValue.SerializeToString)
    return grpc.method_handlers_generic_handler("shop.v1.Orders", {"Place": handler})


async def serve(address: str, stop: asyncio.Event, bound: asyncio.Future[int]) -> None:
    """Serve until `stop` is set; `bound` is told the port."""
    target = os.environ.get("TIDEWIRE_AUTH_TARGET", "127.0.0.1:50051")
    verifier = KeyVerifier(target, service_token=os.environ["TIDEWIRE_SERVICE_TOKEN"])
    await verifier.start()
    server = grpc.aio.server(interceptors=[KeyInterceptor(verifier, PERMISSIONS)])
    server.add_generic_rpc_handlers([handlers()])
    bound.set_result(server.add_insecure_port(address))
    await server.start()
    try:
        await stop.wait()
    finally:
        await server.stop(5)
        await verifier.close()


async def main() -> None:
    """Serve for ever."""
    await serve("127.0.0.1:50100", asyncio.Event(), asyncio.get_running_loop().create_future())


if __name__ == "__main__":
    asyncio.run(main())
