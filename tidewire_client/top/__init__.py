"""What services do now, worked out from their metrics: for the command `tidewire top`."""
