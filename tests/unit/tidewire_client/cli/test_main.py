"""The command line as such: help, usage, exit codes. What commands do to services is tested with real ones."""

import json

import pytest

from tests.unit.tidewire_client.peers import unused_target
from tidewire_client.cli import main as cli
from tidewire_client.cli.failures import EXIT_CODES_HELP, ExitCode
from tidewire_client.cli.main import run

Captured = pytest.CaptureFixture[str]
COMMANDS = [
    ["listen"],
    ["send"],
    *(["keys", name] for name in ("create", "list", "get", "update", "rotate", "revoke", "disable", "enable")),
    *(["keys", name] for name in ("delete", "verify", "introspect")),
    ["audit"],
    *(["load", name] for name in ("connect", "idle", "fanout", "rooms", "echo", "presence-storm", "slow", "soak")),
]


@pytest.mark.parametrize("command", [[], ["keys"], ["load"], *COMMANDS], ids=" ".join)
def test_help_names_the_exit_codes(capsys: Captured, command: list[str]) -> None:
    assert run([*command, "--help"]) == ExitCode.OK
    out = " ".join(capsys.readouterr().out.split())
    assert EXIT_CODES_HELP in out
    if command in COMMANDS:
        assert "--json" in out
        assert "--key-file" in out


@pytest.mark.parametrize("command", [[], ["keys"], ["load"]], ids=["tidewire", "keys", "load"])
def test_without_a_command_the_help_is_the_answer(capsys: Captured, command: list[str]) -> None:
    assert run(command) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: tidewire")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lisen"], "No such command 'lisen'"),
        (["listen"], "Missing argument 'CHANNEL'"),
        (["listen", "a", "--history", "x"], "--history"),
        (["listen", "a", "--history", "1001"], "--history"),
        (["listen", "a", "--since", "x"], "EPOCH:OFFSET"),
        (["listen", "a", "--since", "e:1", "--last-acked"], "cannot be given together"),
        (["listen", "a", "--type", "x"], "chat_message"),
        (["listen", "a", "--count", "0"], "--count"),
        (["listen", "*"], "reserved"),
        (["listen", "a", "--url", "x"], "--url"),
        (["listen", "a", "--url", "https://edge.example"], "TIDEWIRE_API_KEY"),
        (["send", "a"], "TEXT or --data"),
        (["send", "@ann", "x"], "reserved"),
        (["send", "a", "x", "--id", "y" * 65], "--id"),
        (["send", "a", "x", "--type", "broadcast"], "--type"),
        (["keys", "create", "--owner", "a"], "--permission"),
        (["keys", "create", "--permission", "join:*"], "--owner"),
        (["keys", "create", "--owner", "a", "--permission", "x", "--expires-in", "soon"], "no length of time"),
        (["keys", "create", "--owner", "a", "--permission", "x", "--limit", "y=1"], "--limit"),
        (["keys", "list", "--auth-target", "auth.example:1"], "TIDEWIRE_SERVICE_TOKEN"),
        (["keys", "list", "--state", "expired"], "expired is none of active disabled revoked"),
        (["keys", "list", "--expires-before", "soon"], "--expires-before"),
        (["keys", "update", "4fK2"], "nothing to change"),
        (["keys", "update", "4fK2", "--domain", "d", "--all-domains"], "--all-domains"),
        (["keys", "update", "4fK2", "--rate", "1/1m", "--no-rate"], "--no-rate"),
        (["keys", "rotate", "4fK2"], "--grace"),
        (["keys", "rotate", "4fK2", "--grace", "later"], "no length of time"),
        (["keys", "verify", "tw_live_4fK2_0secret0"], "(tw_live_4fK2_...)"),
        (["audit", "--action", "made"], "made is none of created"),
        (["audit", "--since", "then"], "--since"),
        (["keys", "list", "--tls-cert-file", "x"], "go together"),
    ],
)
def test_wrong_usage_says_what_is_right(capsys: Captured, arguments: list[str], words: str) -> None:
    assert run(arguments) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert run([*arguments, "--json"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    assert words in error["message"]
    assert error["exit_code"] == 2


def test_a_whole_key_on_the_command_line_is_not_repeated(capsys: Captured) -> None:
    for command in ("show", "revoke", "disable", "enable"):
        assert run(["keys", command, "tw_live_4fK2_0secret0"]) == ExitCode.USAGE
    assert "0secret0" not in "".join(capsys.readouterr())


def test_a_key_in_the_clear_is_warned_of(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_API_KEY", "0secret0")
    arguments = ["send", "a", "x", "--url", "http://192.0.2.1:1", "--timeout", "0.2"]
    assert run(arguments) == ExitCode.UNAVAILABLE
    out, err = capsys.readouterr()
    assert "use https" in err
    assert "0secret0" not in out + err


@pytest.mark.parametrize(
    "arguments",
    [
        ["listen", "a", "--url", "http://{}", "--timeout", "0.2"],
        ["send", "a", "x", "--url", "http://{}", "--timeout", "0.2"],
    ],
    ids=["listen", "send"],
)
def test_an_edge_that_is_away(capsys: Captured, arguments: list[str]) -> None:
    with unused_target() as target:
        arguments = [argument.format(target) for argument in arguments]
        assert run(arguments) == ExitCode.UNAVAILABLE
        assert "TIDEWIRE_URL" in capsys.readouterr().err
        assert run([*arguments, "--json"]) == ExitCode.UNAVAILABLE
        out, err = capsys.readouterr()
        assert out == ""
        assert json.loads(err)["error"]["type"] == "ConnectionLost"


def test_an_auth_service_that_is_away(capsys: Captured) -> None:
    with unused_target() as target:
        assert run(["keys", "list", "--auth-target", target, "--timeout", "0.3"]) == ExitCode.UNAVAILABLE
    err = capsys.readouterr().err
    assert "auth service cannot be reached" in err
    assert "TIDEWIRE_AUTH_TARGET" in err


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt, ExitCode.INTERRUPTED), (BrokenPipeError, ExitCode.OUTPUT_CLOSED)]
)
def test_ends_that_are_no_failures(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], code: ExitCode
) -> None:
    def app(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(cli, "drop_output", lambda: None)
    assert run([]) == code
    assert capfd.readouterr() == ("", "")


def test_the_process_ends_with_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("sys.argv", ["tidewire", "lisen"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
