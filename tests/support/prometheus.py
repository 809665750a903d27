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
from tests.support.processes import ROOT
from tests.support.programs import ListeningProgram, find_program
from tests.support.requirements import skip_without

MONITORING = ROOT / "deploy" / "monitoring"
PROGRAM, TOOL = "prometheus", "promtool"
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


class PrometheusApi:
    """What a Prometheus says.

    Args:
        url: Where it listens, `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def values(self, query: str) -> Sequence[float]:
        """Return what a query gives now, one number for each series."""
        return [float(series["value"][1]) for series in self._ask("query", query=query)["result"]]

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """Return the rules, as it judges them."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def answers(self) -> bool:
        """Return whether it is ready."""
        try:
            return http("GET", f"{self._url}/-/ready").status == 200
        except OSError:
            return False

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = http("GET", f"{self._url}/api/v1/{what}?{urlencode(parameters)}")
        assert answer.status == 200, (parameters, answer.body)
        return json.loads(answer.body)["data"]


class Prometheus(ListeningProgram):
    """Scrapes services, with its data in a folder of its own.

    Args:
        directory: For its configuration, data and log.
        targets: Addresses by the name of the service.
    """

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        super().__init__(PROGRAM, directory)
        self.api = PrometheusApi(self.url)
        self._targets = targets

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = find_program(PROGRAM)
        self._folder.mkdir()
        shutil.copy(MONITORING / "alerts.yml", self._folder)
        (self._folder / "prometheus.yml").write_text(self._configuration())
        places = ("--config.file=prometheus.yml", "--storage.tsdb.path=data")
        return [program, *places, f"--web.listen-address=127.0.0.1:{self.port}"], {}

    def _configuration(self) -> str:
        text = (MONITORING / "prometheus.yml").read_text()
        text, found = _DISCOVERY.subn(
            lambda name: f"static_configs: [{{ targets: ['{self._targets[name[1]]}'] }}]", text
        )
        assert found == len(self._targets)
        text, intervals = re.subn(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s", text)
        assert intervals == 2
        return text

    def _answers(self) -> bool:
        return self.api.answers()
