"""What is asked over gRPC: verification, administration, Envoy's external authorization."""
