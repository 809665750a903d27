"""The key store in Redis."""
