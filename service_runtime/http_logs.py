"""What an HTTP server says of requests that are no HTTP: that there was one, and never what was in it."""

from __future__ import annotations

import logging


def quiet_about_content(logger: logging.Logger) -> logging.Logger:
    """Return the logger for an aiohttp server after seeing to it that it logs no exception.

    Those of aiohttp's parser quote the line that it cannot read, and that may hold a key.
    """
    if not any(isinstance(known, _WithoutException) for known in logger.filters):
        logger.addFilter(_WithoutException())
    return logger


class _WithoutException(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True
