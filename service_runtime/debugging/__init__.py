"""What an operator may look at in a process that runs, on a port of its own, behind a key."""
