"""Rules of keys and permissions: pure, with the clock and randomness passed in."""
