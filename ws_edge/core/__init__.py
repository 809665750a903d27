"""The protocol of `protocol.md`, without I/O: bytes and events in, bytes and commands out."""
