"""The Grafana dashboard and the alert rules of `deploy/monitoring`: what they ask Prometheus for."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.prometheus import MONITORING

DASHBOARD = MONITORING / "grafana" / "dashboards" / "tidewire.json"
ALERTS = MONITORING / "alerts.yml"
# A name, or several that are written as one expression: `tidewire_(edge|session)_loop_lag_seconds_bucket`.
_NAMES = re.compile(r"tidewire_(?:\([a-z|]+\))?[a-z_]+")


class Query(NamedTuple):
    """What a panel asks."""

    panel: str
    expression: str


def queries(rate_interval: str = "1m") -> list[Query]:
    """Return the queries of all panels, as Grafana would send them."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        Query(panel["title"], target["expr"].replace("$__rate_interval", rate_interval))
        for panel in panels
        for target in panel.get("targets", ())
    ]


def alert_names() -> list[str]:
    """Return the names of all alerts."""
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


def metric_names(text: str) -> Iterator[str]:
    """Yield the names of metrics in expressions, without what stands for a part of a histogram."""
    for found in _NAMES.findall(text):
        parts = [part.strip("()").split("|") for part in re.split(r"(\([a-z|]+\))", found)]
        for name in map("".join, itertools.product(*parts)):
            yield name.removesuffix("_bucket")
