"""Measurements of Tidewire, and of others on the same work: `manage.py bench`; `docs/benchmarks*.md` have what they found."""
