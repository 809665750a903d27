"""The command `tidewire`: listen to channels, send messages, administer keys."""
