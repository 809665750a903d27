"""What is asked over HTTP: verification, introspection, and proxies' questions."""
