"""Lua scripts of the Redis engine; `retention.lua` stands before those that trim."""
