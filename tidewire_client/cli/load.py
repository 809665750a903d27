"""`tidewire load`: load on a gateway that runs, and a report of what it did under it. Each scenario is a command."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidewire_client.cli.failures import EXIT_CODES_HELP, UsageProblem
from tidewire_client.cli.load_options import LoadOptions, loads, positive_seconds, seconds
from tidewire_client.cli.load_run import run_scenario
from tidewire_client.load.messages import SHORTEST_BYTES
from tidewire_client.load.scenarios.connect import Connect
from tidewire_client.load.scenarios.idle import Idle
from tidewire_client.load.scenarios.presence_storm import PresenceStorm
from tidewire_client.load.scenarios.slow import Slow
from tidewire_client.load.scenarios.soak import Soak
from tidewire_client.load.scenarios.traffic import Traffic

MOST_CLIENTS = 1_000_000
LONGEST_WARM_UP_S = 600.0

app = typer.Typer(
    help="Put load on a gateway that runs, count each client's messages, and report what it did under it. "
    "docs/load-testing.md says how to read it.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Clients = Annotated[int, typer.Option("--clients", min=1, max=MOST_CLIENTS, help="How many clients.")]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", min=1, max=100_000, help="How many connect at the same time, where no rate is given."),
]
Size = Annotated[
    int, typer.Option("--size", min=SHORTEST_BYTES, max=1_000_000, help="Characters of each message's content.")
]
Duration = Annotated[str, typer.Option("--duration", metavar="TIME", help="How long to send: 30, 45s, 10m, 1h30m.")]
WarmUp = Annotated[
    str, typer.Option("--warm-up", metavar="TIME", help="How long to send before it is measured; 0: not at all.")
]
RATE: dict[str, Any] = {"min": 0.001, "max": 10_000_000}


@app.command(epilog=EXIT_CODES_HELP)
@loads
def connect(
    given: LoadOptions,
    clients: Clients = 1000,
    rate: Annotated[
        float, typer.Option(min=0, max=1_000_000, help="Clients that connect a second; 0: as quickly as it goes.")
    ] = 0.0,
    at_once: AtOnce = 64,
    storm: Annotated[
        bool, typer.Option("--storm/--no-storm", help="Afterwards cut all at once; all come back.")
    ] = True,
) -> None:
    """Connect and authenticate clients at a rate; then cut all at once, and see how soon all are back."""
    run_scenario(given, Connect(clients, rate, at_once, storm))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def idle(
    given: LoadOptions,
    clients: Clients = 1000,
    hold: Annotated[str, typer.Option(metavar="TIME", help="How long all stay: 30, 45s, 10m.")] = "30s",
    channels: Annotated[
        int, typer.Option(min=0, max=MOST_CLIENTS, help="Spread the clients over so many channels; 0: none joins any.")
    ] = 0,
    at_once: AtOnce = 64,
) -> None:
    """Hold connections that do nothing; with --metrics of the services: what one costs in memory."""
    run_scenario(given, Idle(clients, positive_seconds("--hold", hold), at_once, channels))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def fanout(
    given: LoadOptions,
    members: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="Of the channel.")] = 100,
    publishers: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="Members that send.")] = 1,
    rate: Annotated[float, typer.Option(**RATE, help="Messages a second, of all publishers together.")] = 20.0,
    duration: Duration = "30s",
    size: Size = 100,
    warm_up: WarmUp = "2s",
) -> None:
    """One channel: each message goes to all members."""
    if publishers > members:
        raise UsageProblem(f"--publishers: {publishers} of {members} members cannot send")
    times = positive_seconds("--duration", duration), size, seconds("--warm-up", warm_up)
    run_scenario(given, Traffic("fanout", 1, members, publishers, rate / publishers, *times, "use more --publishers"))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def rooms(
    given: LoadOptions,
    rooms: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="How many channels.")] = 100,
    members: Annotated[int, typer.Option(min=1, max=10_000, help="Of each channel; one of them sends.")] = 5,
    rate: Annotated[float, typer.Option(**RATE, help="Messages a second in each channel.")] = 1.0,
    duration: Duration = "30s",
    size: Size = 100,
    warm_up: WarmUp = "2s",
) -> None:
    """Many small channels, each with a few members."""
    times = positive_seconds("--duration", duration), size, seconds("--warm-up", warm_up)
    run_scenario(given, Traffic("rooms", rooms, members, 1, rate, *times, "use more --rooms"))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def echo(
    given: LoadOptions,
    clients: Clients = 50,
    rate: Annotated[float, typer.Option(**RATE, help="Messages a second, of all clients together.")] = 100.0,
    duration: Duration = "30s",
    size: Size = 100,
    warm_up: WarmUp = "2s",
) -> None:
    """Each client sends to itself: latency at a fixed rate, from when each message was due."""
    times = positive_seconds("--duration", duration), size, seconds("--warm-up", warm_up)
    run_scenario(given, Traffic("echo", clients, 1, 1, rate / clients, *times, "use more --clients"))


@app.command("presence-storm", epilog=EXIT_CODES_HELP)
@loads
def presence_storm(
    given: LoadOptions,
    members: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="Clients that come and go.")] = 200,
    watchers: Annotated[int, typer.Option(min=1, max=100_000, help="Clients that are told of each of them.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="How often all come and go.")] = 3,
) -> None:
    """All join a channel at once and leave it at once, before those who watch its presence."""
    run_scenario(given, PresenceStorm(members, watchers, rounds))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def slow(
    given: LoadOptions,
    members: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="Members that read all the time.")] = 20,
    slow: Annotated[int, typer.Option("--slow", min=1, max=100_000, help="Members that stop to read.")] = 5,
    rate: Annotated[float, typer.Option(**RATE, help="Messages a second.")] = 100.0,
    duration: Annotated[
        str, typer.Option(metavar="TIME", help="How long to send, once while all read and once while some do not.")
    ] = "15s",
    size: Size = 8000,
    warm_up: WarmUp = "2s",
) -> None:
    """Some members stop to read: what the others notice, and what becomes of those."""
    times = positive_seconds("--duration", duration), size, seconds("--warm-up", warm_up)
    run_scenario(given, Slow(members, slow, rate, *times))


@app.command(epilog=EXIT_CODES_HELP)
@loads
def soak(
    given: LoadOptions,
    rooms: Annotated[int, typer.Option(min=1, max=MOST_CLIENTS, help="How many channels.")] = 20,
    members: Annotated[int, typer.Option(min=1, max=10_000, help="Of each channel; one of them sends.")] = 5,
    rate: Annotated[float, typer.Option(**RATE, help="Messages a second in each channel.")] = 1.0,
    churn: Annotated[
        float, typer.Option(min=0, max=100_000, help="Clients a second that lose their connection and come back.")
    ] = 1.0,
    duration: Duration = "10m",
    warm_up: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Of whose growth nothing is said.",
            show_default="a tenth of the duration, at most 10 minutes",
        ),
    ] = None,
    size: Size = 100,
) -> None:
    """Rooms whose members come and go, for a long time: does memory or latency grow?"""
    long_s = positive_seconds("--duration", duration)
    warm_up_s = min(LONGEST_WARM_UP_S, long_s / 10) if warm_up is None else seconds("--warm-up", warm_up)
    if warm_up_s >= long_s:
        raise UsageProblem(f"--warm-up: {warm_up} is not shorter than --duration {duration}")
    run_scenario(given, Soak(rooms, members, rate, churn, long_s, warm_up_s, size))
