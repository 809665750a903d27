"""A FastAPI application that only holders of good keys reach: `uvicorn fastapi_app:app`."""

import os

from fastapi import FastAPI, Request, WebSocket

from tidewire_client import KeyVerifier
from tidewire_client.asgi import KeyMiddleware, verdict_of_scope


def verifier() -> KeyVerifier:
    """Return what the middleware verifies keys with; it is started and closed with the application."""
    target = os.environ.get("TIDEWIRE_AUTH_TARGET", "127.0.0.1:50051")
    return KeyVerifier(target, service_token=os.environ["TIDEWIRE_SERVICE_TOKEN"])


app = FastAPI()
app.add_middleware(KeyMiddleware, verifier=verifier, action="join", channel="orders", exempt=["/health"])


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer whoever asks."""
    return {"status": "ok"}


@app.get("/orders")
async def orders(request: Request) -> dict[str, str]:
    """Answer who the key belongs to."""
    verdict = verdict_of_scope(request.scope)
    return {"owner": verdict.owner, "key_id": verdict.key_id}


@app.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """Greet whoever connects."""
    await websocket.accept()
    await websocket.send_json({"owner": verdict_of_scope(websocket.scope).owner})
    await websocket.close()
