"""What may be done to a gateway: one scenario a file, each with its figures."""
