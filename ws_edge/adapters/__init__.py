"""What connects the core to the world: aiohttp towards browsers, gRPC towards the services."""
