"""The servers that are measured: Tidewire, and others that carry messages to many over WebSocket."""
