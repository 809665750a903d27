"""The frames as AsyncAPI and as a page: every frame is there, golden frames fit the schemas, and others do not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

from scripts import frames_asyncapi, frames_reference
from scripts.frame_model import Protocol, read_protocol
from tests.support.frame_catalogue import CLIENT_FRAMES, CLOSE_CODES, ERRORS, SERVER_FRAMES
from tests.support.golden import GoldenFrame, golden_frames

# As the first gateways wrote them; read for their sake, never written.
OLDER = "seed_"
FRAMES = [golden for golden in golden_frames() if not golden.name.startswith((OLDER, "server_echo"))]


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return read_protocol()


@pytest.fixture(scope="module")
def document(protocol: Protocol) -> Any:
    return frames_asyncapi.document(protocol)


def validator(document: Any, golden: GoldenFrame) -> Draft7Validator:
    name = golden.message.rpartition(".")[2]
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft7Validator(schema, format_checker=FormatChecker())


def test_every_frame_error_and_close_code_is_there(protocol: Protocol) -> None:
    assert {frame.type for frame in protocol.client} == CLIENT_FRAMES.keys()
    assert {frame.type for frame in protocol.server} == SERVER_FRAMES.keys()
    assert protocol.error_types.keys() == ERRORS.keys()
    assert protocol.close_codes.keys() == CLOSE_CODES.keys()


def test_answers_are_those_that_comments_name(protocol: Protocol) -> None:
    answers = {frame.type: frame.answers for frame in protocol.client}
    assert answers["join_channel"] == ("message_delivered", "subscription_success", "error")
    assert answers["connect"][:2] == ("connection_success", "message_delivered")
    assert answers["ack"] == ("error",)


@pytest.mark.parametrize("golden", FRAMES, ids=lambda golden: golden.name)
def test_golden_frames_fit_their_schemas(document: Any, golden: GoldenFrame) -> None:
    assert [error.message for error in validator(document, golden).iter_errors(golden.frame)] == []


@pytest.mark.parametrize("golden", FRAMES, ids=lambda golden: golden.name)
def test_frames_of_another_type_do_not(document: Any, golden: GoldenFrame) -> None:
    check = validator(document, golden)
    assert list(check.iter_errors({**golden.frame, "type": "made_up"}))
    assert list(check.iter_errors({name: value for name, value in golden.frame.items() if name != "type"}))
    if isinstance(golden.frame.get("data"), dict) and golden.frame["type"] not in ("ping", "pong"):
        assert list(check.iter_errors({**golden.frame, "data": "text"}))


def test_what_is_missing_or_of_the_wrong_kind_is_found(document: Any) -> None:
    (connect,) = (golden for golden in FRAMES if golden.name == "client_connect")
    check = validator(document, connect)
    for name, value in (("api_key", None), ("domain", 7), ("resume", {})):
        frame = copy.deepcopy(connect.frame)
        frame["data"][name] = value
        assert list(check.iter_errors(frame)), name
    (ack,) = (golden for golden in FRAMES if golden.name == "client_ack")
    check = validator(document, ack)
    for offset, fits in ((1, True), ("42", True), ("4x", False), (-1, False), (1.5, False)):
        frame = copy.deepcopy(ack.frame)
        frame["data"]["offset"] = offset
        assert check.is_valid(frame) == fits, offset


def test_the_file_is_the_document(document: Any) -> None:
    assert yaml.safe_load(frames_asyncapi.render()) == yaml.safe_load(yaml.safe_dump(plain(document)))


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_the_page_has_a_section_and_an_example_of_each_frame(protocol: Protocol) -> None:
    page = frames_reference.render()
    for frame in (*protocol.client, *protocol.server):
        section = page.split(f'<a id="{frame.message.name}"></a>')[1].split("<a id=")[0]
        assert f"\n### {frame.type}\n" in section
        assert section.count("```json") == len(frame.examples) > 0
    assert "| `data.resume[].offset` | uint64 | always | The offset of the last message that was seen. |" in page


@pytest.mark.parametrize("module", [frames_asyncapi, frames_reference], ids=lambda module: module.__name__)
def test_a_file_is_fresh_after_it_was_written(module: Any, tmp_path: Path) -> None:
    file = tmp_path / "docs" / "file"
    assert not module.is_fresh(file)
    module.write(file)
    assert module.is_fresh(file)
    file.write_text(file.read_text() + "more")
    assert not module.is_fresh(file)
