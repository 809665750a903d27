"""Runs the three services as child processes: starts them in order, watches them, starts them again, ends them."""
