"""Numbered SQL files: the schema of the SQLite engine, step by step."""
