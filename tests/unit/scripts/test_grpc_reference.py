"""The reference of gRPC: everything of the contracts is there, in their words."""

from __future__ import annotations

import re
from pathlib import Path

from scripts import grpc_reference
from scripts.contracts import PROTOS


def test_every_service_method_message_and_enum_is_there() -> None:
    page = grpc_reference.render()
    for folder in ("auth/v1", "session/v1", "envoy/v3"):
        for contract in (PROTOS / "tidewire" / folder).glob("*.proto"):
            text = contract.read_text()
            for name in re.findall(r"^(?:service|message|enum) (\w+)", text, re.MULTILINE):
                assert f"\n### {name}\n" in page, name
            for method in re.findall(r"^  rpc (\w+)\(", text, re.MULTILINE):
                assert f"| `{method}` |" in page, method


def test_words_types_and_links() -> None:
    page = grpc_reference.render()
    assert (
        "Verifies up to 256 keys at once, charged like VerifyKey; verdicts come in the order of the requests." in page
    )
    assert (
        "| `WatchKeys` | [WatchKeysRequest](#tidewire.auth.v1.WatchKeysRequest) | stream of [WatchKeysResponse]" in page
    )
    links = set(re.findall(r"\]\(#([\w.]+)\)", page))
    assert links <= set(re.findall(r'<a id="([\w.]+)"></a>', page))
    assert len(links) > 50


def test_every_row_of_a_table_has_all_cells() -> None:
    cells = None
    for line in grpc_reference.render().splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        found = line.replace("\\|", "").count("|")
        assert cells in (None, found), line
        cells = found


def test_the_page_is_fresh_after_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "grpc.md"
    assert not grpc_reference.is_fresh(file)
    grpc_reference.write(file)
    assert grpc_reference.is_fresh(file)
