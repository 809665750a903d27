"""A real Prometheus on the configuration of `deploy/monitoring`: only places and intervals are replaced."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.http_client import http
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

MONITORING = ROOT / "deploy" / "monitoring"
PROGRAM, TOOL = "prometheus", "promtool"
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
_DISCOVERY = re.compile(r"dns_sd_configs: \[\{ names: \[(\w+)\], .*\}\]")


def promtool(*arguments: str, text: str | None = None) -> str:
    """Run promtool in `deploy/monitoring`; return what it says, fail if it is not content."""
    if shutil.which(TOOL) is None:
        skip_without(PROGRAM)
    result = subprocess.run(
        [TOOL, *arguments],
        cwd=MONITORING,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


class Prometheus:
    """Scrapes services, with its data in a folder of its own.

    Args:
        directory: For its configuration, data and log.
        targets: Addresses by the name of the service.
    """

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        if shutil.which(PROGRAM) is None:
            skip_without(PROGRAM)
        self._directory = directory
        self._targets = targets
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        self._directory.mkdir()
        shutil.copy(MONITORING / "alerts.yml", self._directory)
        (self._directory / "prometheus.yml").write_text(self._configuration())
        command = [
            PROGRAM,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)
        wait_until(lambda: self._ready() or not self._running, START_DEADLINE_S, "Prometheus answers")
        assert self._running, self._log()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_DEADLINE_S)

    def values(self, query: str) -> Sequence[float]:
        """Return what a query gives now, one number for each series."""
        return [float(series["value"][1]) for series in self._ask("query", query=query)["result"]]

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """Return the rules, as it judges them."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = http("GET", f"http://127.0.0.1:{self._port}/api/v1/{what}?{urlencode(parameters)}")
        assert answer.status == 200, (parameters, answer.body)
        return json.loads(answer.body)["data"]

    def _configuration(self) -> str:
        text = (MONITORING / "prometheus.yml").read_text()
        text, found = _DISCOVERY.subn(
            lambda name: f"static_configs: [{{ targets: ['{self._targets[name[1]]}'] }}]", text
        )
        assert found == len(self._targets)
        text, intervals = re.subn(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s", text)
        assert intervals == 2
        return text

    @property
    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _ready(self) -> bool:
        try:
            return http("GET", f"http://127.0.0.1:{self._port}/-/ready").status == 200
        except OSError:
            return False

    def _log(self) -> str:
        return (self._directory / "prometheus.log").read_text(errors="replace")
