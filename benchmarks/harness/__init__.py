"""What the measurements share: services, load from processes of its own, processor time, tables."""
