"""The load generator as Python drives it: its program, what it is asked to do, and what it counted."""
