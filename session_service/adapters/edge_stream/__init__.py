"""The stream of one edge: its commands, its answers, and what is sent to it."""
