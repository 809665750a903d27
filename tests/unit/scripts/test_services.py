"""What each service is started with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.start_options import DEFAULT_DATA_DIR, Wishes
from scripts.supervision.keeper import how
from scripts.supervision.ports import port_problems
from scripts.supervision.services import MISSING_CREDENTIAL, ServicePlan, address, child_environment, plan_services
from scripts.supervision.supervisor import LEAD_S, end_deadline_s
from service_runtime.settings import SettingsError

NO_PORTS: dict[str, int | None] = {"auth": None, "session": None, "edge": None}
ADDRESSES = {"auth": "127.0.0.1:1", "session": "127.0.0.1:2"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIDEWIRE_")]:
        monkeypatch.delenv(name)


def plans(**wishes: object) -> dict[str, ServicePlan]:
    return {plan.name: plan for plan in plan_services(Wishes(**{"ports": NO_PORTS, **wishes}))}  # type: ignore[arg-type]


def flags(plan: ServicePlan, port: int = 0) -> dict[str, str]:
    command = plan.command("/python", Path("/run/x.ready"), port, ADDRESSES)
    assert command[:4] == ["/python", "-P", "-m", plan.kind.module]
    return dict(zip(command[4::2], command[5::2], strict=True))


def test_services_come_after_those_that_they_call() -> None:
    assert list(plans()) == ["auth", "session", "edge"]


def test_each_is_told_where_the_others_are() -> None:
    found = plans()
    assert "--auth-target" not in flags(found["auth"])
    assert flags(found["session"])["--auth-target"] == "127.0.0.1:1"
    assert flags(found["edge"])["--auth-target"] == "127.0.0.1:1"
    assert flags(found["edge"])["--session-target"] == "127.0.0.1:2"


def test_an_address_that_the_operator_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_EDGE_AUTH_TARGET", "elsewhere:50051")
    assert "--auth-target" not in flags(plans()["edge"])


def test_the_port_that_it_had_is_the_port_that_it_gets() -> None:
    found = plans(ports={"auth": 0, "session": None, "edge": 8123})
    assert (found["auth"].port, found["session"].port, found["edge"].port) == (0, 50052, 8123)
    assert flags(found["auth"], port=40123)["--port"] == "40123"


def test_a_flag_beats_a_variable_which_beats_the_commands_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert flags(plans()["auth"])["--data-dir"] == str(DEFAULT_DATA_DIR)
    monkeypatch.setenv("TIDEWIRE_AUTH_DATA_DIR", "/var/lib/auth")
    monkeypatch.setenv("TIDEWIRE_EDGE_PORT", "9000")
    assert "--data-dir" not in flags(plans()["auth"])
    assert plans()["edge"].port == 9000
    assert flags(plans(data_dir=tmp_path)["auth"])["--data-dir"] == str(tmp_path)
    assert plans(ports={"edge": 9001})["edge"].port == 9001


def test_the_mode_is_passed_on_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--mode" not in flags(plans()["edge"])
    assert flags(plans(mode="development")["edge"])["--mode"] == "development"


def test_json_lines_are_asked_for_in_production() -> None:
    assert flags(plans(json_logs=True)["auth"])["--log-format"] == "json"


def test_with_the_defaults_everything_ends_within_five_seconds() -> None:
    found = plans()
    longest_s = max(end_deadline_s(found["session"]), LEAD_S + end_deadline_s(found["auth"]))
    assert end_deadline_s(found["edge"]) + longest_s < 5


def test_a_drain_that_the_operator_set_gets_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_EDGE_DRAIN_WAIT_S", "20")
    assert end_deadline_s(plans()["edge"]) > 20


def test_all_problems_of_all_services_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_EDGE_PORT", "x")
    with pytest.raises(SettingsError) as caught:
        plans(mode="production")
    lines = str(caught.value).splitlines()
    assert lines.count(MISSING_CREDENTIAL) == 1
    assert len([line for line in lines if line.startswith("TIDEWIRE_EDGE_PORT: x")]) == 1


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1:5"),
        ("0.0.0.0", "127.0.0.1:5"),
        ("::", "[::1]:5"),
        ("fd00::1", "[fd00::1]:5"),
        ("auth", "auth:5"),
    ],
)
def test_an_address_that_stands_for_all_is_reached_by_loopback(host: str, shown: str) -> None:
    assert address(host, 5) == shown


def test_two_services_on_one_port_are_a_problem() -> None:
    found = plan_services(Wishes({"auth": 40999, "session": 40999, "edge": 0}))
    (problem,) = port_problems(found)
    assert problem.startswith("auth and session are both to listen on port 40999")


def test_an_address_of_another_machine_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_EDGE_HOST", "192.0.2.1")
    (problem,) = port_problems(plan_services(Wishes({"auth": 0, "session": 0, "edge": 0})))
    assert problem.startswith("edge cannot listen on 192.0.2.1:0: ")


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-99, "was ended by signal 99")],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert how(code) == words


def test_redis_goes_to_the_services_that_keep_state_and_is_on_no_command_line() -> None:
    made = plans(redis="redis://:pass@localhost:6379/0")
    assert made["auth"].variables == {"TIDEWIRE_AUTH_STORE_URL": "redis://:pass@localhost:6379/0"}
    assert made["session"].variables == {"TIDEWIRE_SESSION_ENGINE_URL": "redis://:pass@localhost:6379/0"}
    assert made["edge"].variables == {}
    for plan in made.values():
        assert not [word for word in plan.command("/python", Path("/x"), 0, ADDRESSES) if "pass@" in word]
        assert "pass@" not in repr(plan)
    assert child_environment(made["auth"])["TIDEWIRE_AUTH_STORE_URL"] == "redis://:pass@localhost:6379/0"


def test_a_redis_url_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError) as refused:
        plans(redis="http://:pass@localhost")
    assert "TIDEWIRE_AUTH_STORE_URL" in str(refused.value)
    assert "pass@" not in str(refused.value)
