"""The session service's ties to the world: gRPC on one side, engines on the other."""
