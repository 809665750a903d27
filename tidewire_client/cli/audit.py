"""`tidewire audit`: who changed which key when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidewire_client.audit import AuditAction, AuditEntry, AuditFilters, AuditPage
from tidewire_client.cli.audit_words import ENTRY_COLUMNS, entry_record, entry_row
from tidewire_client.cli.auth import AuthAccess, asks_auth_service
from tidewire_client.cli.credentials import key_id_of
from tidewire_client.cli.durations import moment_or_span
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.key_output import run_admin
from tidewire_client.cli.output import Output, prints
from tidewire_client.key_admin import KeyAdmin

_ACTIONS = tuple(action.value for action in AuditAction if action is not AuditAction.UNKNOWN)


@asks_auth_service
@prints
def audit(
    output: Output,
    access: AuthAccess,
    key_id: Annotated[str, typer.Option("--key-id", help="Only changes of this key.", show_default="all")] = "",
    actor: Annotated[
        str,
        typer.Option(
            help="Only changes made by: service-token, key:KEY_ID, certificate:NAME or system.", show_default="all"
        ),
    ] = "",
    actions: Annotated[
        list[str] | None,
        typer.Option(
            "--action", help=f"Only such changes; may be given again: {' '.join(_ACTIONS)}.", show_default="all"
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only changes from then on: 7d ago, or a moment: 2027-01-31T12:00:00Z."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only changes before then, written like --since.")
    ] = None,
    page_size: Annotated[int, typer.Option(min=1, max=1000, help="Changes at once.")] = 50,
    page_token: Annotated[str, typer.Option(help="Go on where the page before ended: it says with what.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
) -> None:
    """List changes of keys, newest first. The credential needs admin:audit.read."""
    now = datetime.now(UTC)
    filters = AuditFilters(
        key_id=key_id_of(key_id),
        actor=actor,
        actions=_parse_actions(actions or []),
        start_time=moment_or_span("--since", since, now, ago=True),
        end_time=moment_or_span("--until", until, now, ago=True),
    )

    async def page(admin: KeyAdmin) -> AuditPage:
        entries: list[AuditEntry] = []
        token = page_token
        while True:
            found = await admin.audit_page(page_size=page_size, page_token=token, **filters)
            entries.extend(found.entries)
            token = found.next_page_token
            # A page may be empty and not the last.
            if not token or (entries and not everything):
                return AuditPage(tuple(entries), token)

    found = run_admin(access, page)
    if output.as_json:
        records = [entry_record(entry) for entry in found.entries]
        output.record({"entries": records, "next_page_token": found.next_page_token})
        return
    if found.entries:
        output.table(ENTRY_COLUMNS, [entry_row(entry) for entry in found.entries])
    else:
        output.note("there are no such changes")
    if found.next_page_token:
        output.note(f"There are more: --page-token {found.next_page_token}, or --all.")


def _parse_actions(texts: list[str]) -> list[AuditAction]:
    unknown = sorted(set(texts) - set(_ACTIONS))
    if unknown:
        raise UsageProblem(f"--action: {unknown[0]} is none of {' '.join(_ACTIONS)}")
    return [AuditAction(text) for text in texts]
