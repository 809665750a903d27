"""What every listener of a service says when it cannot listen."""

from __future__ import annotations


class PortTakenError(Exception):
    """Another process listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host}:{port}: the port is taken or the address is not of this machine")
