"""The auth service: API keys and what they permit, over gRPC, for the edge and for any other back end."""
