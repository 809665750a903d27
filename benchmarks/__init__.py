"""Measurements of Tidewire, and of others on the same work."""
