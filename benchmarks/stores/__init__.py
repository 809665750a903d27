"""Where messages are stored: the session service's engines in this process, and what they are measured against."""
