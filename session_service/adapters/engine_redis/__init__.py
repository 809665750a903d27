"""The engine on Redis: one server, under Sentinels, or a Cluster."""
