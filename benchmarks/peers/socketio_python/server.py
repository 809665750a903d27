"""A python-socketio server with rooms, as its documentation shows it: `join` and `publish`. The argument is the port."""

from __future__ import annotations

import sys

import socketio
import uvloop
from aiohttp import web

sio = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"], ping_interval=3600)


async def join(sid: str, rooms: list[str]) -> None:
    """Let a client into rooms; the library acknowledges it."""
    for room in rooms:
        await sio.enter_room(sid, room)


async def publish(sid: str, room: str, body: str) -> None:
    """Send a message to all of a room."""
    await sio.emit("message", body, room=room)


sio.on("join", join)
sio.on("publish", publish)


def main(port: int) -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    sio.attach(app)
    web.run_app(
        app, host="127.0.0.1", port=port, backlog=4096, access_log=None, print=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
