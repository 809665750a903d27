"""The Python client of Tidewire: verify keys, administer them, publish, and listen."""
