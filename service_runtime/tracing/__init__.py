"""Traces of sampled work: what began it, what it did where, and how long that took. Off unless a ratio is set."""
