"""Ways to ask a Redis of any form, within a deadline: scripts by their digest, found again after a fail-over."""
