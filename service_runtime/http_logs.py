"""What an HTTP server says of requests that are no HTTP: that there was one, and never what was in it."""

from __future__ import annotations

import logging


def quiet_about_content(logger: logging.Logger, about: type[BaseException] = BaseException) -> logging.Logger:
    """Return the logger for an aiohttp server after seeing to it that it logs no exception of a kind.

    Those of aiohttp's parser quote the line that it cannot read, and that may hold a key.

    Args:
        logger: For the server.
        about: The kind; all unless said otherwise.
    """
    if not any(isinstance(known, _WithoutException) for known in logger.filters):
        logger.addFilter(_WithoutException(about))
    return logger


class _WithoutException(logging.Filter):
    def __init__(self, about: type[BaseException]) -> None:
        super().__init__()
        self._about = about

    def filter(self, record: logging.LogRecord) -> bool:
        exception = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if exception is None or isinstance(exception, self._about):
            record.exc_info = record.exc_text = None
        return True
