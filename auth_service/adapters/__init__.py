"""What joins the rules to the world: SQLite, gRPC, files and metrics."""
