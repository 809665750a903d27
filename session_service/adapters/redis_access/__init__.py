"""Ways to ask a Redis of any form: pipelined, with redirects followed, found again after a fail-over."""
