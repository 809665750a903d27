"""The pepper file, and keys that move to the current pepper."""
