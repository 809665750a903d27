"""The metrics of one process at one moment, as Prometheus would read them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

MAX_BYTES: Final = 8 * 1024 * 1024
PATH: Final = "/metrics"


class ScrapeFailed(Exception):
    """There are no metrics; the text says why, in a few words."""


class Scrape:
    """Samples by name.

    Args:
        text: In the format of Prometheus.
        at_s: When they were taken, in seconds of a clock that never goes back.

    Raises:
        ValueError: It is no such text.
    """

    def __init__(self, text: str, at_s: float) -> None:
        self.at_s = at_s
        self._samples: defaultdict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def total(self, name: str) -> float | None:
        """Return the sum over all labels; None: there is no such metric."""
        samples = self._samples.get(name)
        return None if samples is None else sum(value for _, value in samples)

    def buckets(self, name: str) -> dict[float, float]:
        """Return the buckets of a histogram, by upper bound, each with all that is in those before it; summed over labels."""
        found: defaultdict[float, float] = defaultdict(float)
        for labels, value in self._samples.get(f"{name}_bucket", ()):
            found[float(labels["le"])] += value
        return dict(found)


def metrics_url(target: str) -> str:
    """Return where a target's metrics are.

    Args:
        target: `host:port`, or a URL.

    Raises:
        ValueError: It is neither.
    """
    url = urlsplit(target if "://" in target else f"http://{target}")
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError(f"{target}: not host:port or http://host:port/path")
    if "://" not in target and url.port is None:
        raise ValueError(f"{target}: names no port")
    return f"{url.scheme}://{url.netloc}{url.path if url.path not in ('', '/') else PATH}"


async def scrape(session: aiohttp.ClientSession, url: str, timeout_s: float) -> Scrape:
    """Ask for metrics.

    Args:
        session: Of HTTP.
        url: Where they are.
        timeout_s: For the whole answer, in seconds.

    Raises:
        ScrapeFailed: There are none.
    """
    try:
        async with asyncio.timeout(timeout_s), session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise ScrapeFailed(f"status {response.status}")
            body = await _bounded(response)
        return Scrape(body.decode(), time.monotonic())
    except TimeoutError:
        raise ScrapeFailed("no answer in time") from None
    except aiohttp.ClientConnectionError:
        raise ScrapeFailed("cannot be reached") from None
    except (aiohttp.ClientError, ValueError):
        raise ScrapeFailed("no metrics there") from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_BYTES:
            raise ScrapeFailed("too large an answer")
    return body
