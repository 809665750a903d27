"""What session services on one Redis tell each other: presence, disconnects, receipts."""
