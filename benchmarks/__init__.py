"""Measurements of the real services, each with `python -m benchmarks.<name>`; `docs/benchmarks.md` has what they found."""
