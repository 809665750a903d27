"""What all three processes need and nothing of what they are for: settings, logs, metrics, TLS, gRPC, and an orderly end."""
