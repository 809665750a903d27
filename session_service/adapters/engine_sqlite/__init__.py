"""The engine in a SQLite file."""
