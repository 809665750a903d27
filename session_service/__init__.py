"""The session service: channels, offsets, confirmed delivery, history, presence, threads and inboxes over one engine."""
