"""The rules of the session service: pure, with the clock passed in; nothing here waits or does I/O."""
