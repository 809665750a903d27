"""The WebSocket edge: terminates browsers' connections and speaks for them to the auth and session services."""
