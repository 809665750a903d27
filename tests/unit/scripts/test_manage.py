"""The command line of manage.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import manage
from scripts.start_options import DEFAULT_DATA_DIR, wishes


def test_arguments_behind_two_dashes_are_pytests() -> None:
    options = manage._parse(["test", "unit", "--", "-k", "fanout", "--", "x"])
    assert (options.suite, options.arguments) == ("unit", ["-k", "fanout", "--", "x"])


def test_all_tests_are_run_when_no_suite_is_named() -> None:
    options = manage._parse(["test", "--", "-x"])
    assert (options.suite, options.arguments) == ("all", ["-x"])


def test_only_test_takes_arguments_for_pytest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        manage._parse(["status", "--", "-x"])
    assert ended.value.code == 2
    assert "only `test`" in capsys.readouterr().err


def test_the_browsers_are_a_suite_and_the_development_server_is_asked_for() -> None:
    assert manage._parse(["test", "e2e"]).suite == "e2e"
    assert manage._parse(["start", "--frontend"]).frontend
    assert not manage._parse(["start"]).frontend


def test_ports_are_wishes_and_the_rest_is_left_to_the_services() -> None:
    wanted = wishes(manage._parse(["start", "--edge-port", "0", "--auth-port", "1234"]), mode=None)
    assert wanted.ports == {"edge": 0, "auth": 1234, "session": None}
    assert (wanted.mode, wanted.data_dir, wanted.run_dir) == (None, None, DEFAULT_DATA_DIR)


def test_a_data_folder_is_relative_to_where_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert wishes(manage._parse(["start", "--data-dir", "here"]), mode=None).run_dir == tmp_path / "here"


@pytest.mark.parametrize("port", ["65536", "-1", "http", "", "8 0"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        manage._parse(["start", f"--edge-port={port}"])
    assert "is not a port: 0 to 65535" in capsys.readouterr().err


def test_redis_is_asked_for() -> None:
    asked = wishes(manage._parse(["start", "--redis", "redis://:pass@localhost"]), mode=None)
    assert asked.redis == "redis://:pass@localhost"
    assert "pass@" not in repr(asked)
