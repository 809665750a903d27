"""protocol.md, `/api/chat/threads`: threads over HTTP, and the same messages on the WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from tidewire.edge.v1 import threads_api_pb2

from tests.support.http_client import HttpAnswer, http_async
from tests.support.key_admin import MadeKey
from tests.support.protocol_client import RFC3339_UTC_MS, Clients, new_name
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LIFE_S = 0.5


class Api:
    """The HTTP API in a workspace of the test's own."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.workspace = new_name("w")

    async def call(
        self, method: str, path: str = "", *, headers: dict[str, str] | None = None, query: str = "", **more: Any
    ) -> HttpAnswer:
        place = f"domain=tests&workspace={self.workspace}"
        url = f"{self.target.http_url}/api/chat/threads{path}?{place}{query}"
        if headers is None:
            headers = {"Authorization": f"Bearer {self.target.api_key}"}
        return await http_async(method, url, headers=headers, **more)

    async def create(self, **body: Any) -> dict[str, Any]:
        answer = await self.call("POST", json_body=body)
        assert answer.status == 201, answer.body
        return checked(answer, threads_api_pb2.ThreadReplyBody)["thread"]


def checked(answer: HttpAnswer, message: Any) -> dict[str, Any]:
    """Return a body, which must be what its message in the contracts says."""
    body = answer.json()
    json_format.ParseDict(body, message())
    return body


def refused(answer: HttpAnswer, status: int, error_type: str) -> None:
    body = checked(answer, threads_api_pb2.HttpErrorBody)
    assert (answer.status, body["error"]["code"], body["error"]["error_type"]) == (status, status, error_type)
    assert body["error"]["message"]


@pytest.fixture
def api(target: Target) -> Api:
    return Api(target)


async def test_empty_list(api: Api) -> None:
    body = checked(await api.call("GET"), threads_api_pb2.ThreadListBody)
    assert (body["threads"], body["total"]) == ([], 0)
    assert (body["domain"], body["workspace"]) == ("tests", api.workspace)
    assert RFC3339_UTC_MS.fullmatch(body["timestamp"])


async def test_key_in_x_api_key(api: Api) -> None:
    assert (await api.call("GET", headers={"X-API-Key": api.target.api_key})).status == 200


async def test_no_key(api: Api) -> None:
    refused(await api.call("GET", headers={}), 401, "not_authenticated")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}, {"X-API-Key": "\xff"}], ids=ascii
)
async def test_bad_key(api: Api, headers: dict[str, str]) -> None:
    refused(await api.call("GET", headers=headers), 403, "invalid_key")


async def test_expired_key(api: Api, make_key: Callable[..., MadeKey]) -> None:
    headers = {"X-API-Key": make_key(expires_in_s=LIFE_S).api_key}

    async def expired() -> bool:
        return (await api.call("GET", headers=headers)).status != 200

    await eventually(expired)
    refused(await api.call("GET", headers=headers), 403, "token_expired")


async def test_key_without_the_permission(api: Api, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(["join:*", "publish:*"])
    for method, body in [("GET", None), ("POST", {"title": "x"})]:
        answer = await api.call(method, headers={"X-API-Key": key.api_key}, json_body=body)
        refused(answer, 403, "permission_denied")


async def test_create_and_read(api: Api) -> None:
    thread = await api.create(title="Release 2 – Pläne", metadata={"colour": "blue"})
    assert thread["title"] == "Release 2 – Pläne"
    assert thread["metadata"] == {"colour": "blue"}
    assert thread["channel"] == f"thread:{thread['thread_id']}"
    assert thread["message_count"] == 0
    answer = await api.call("GET", f"/{thread['thread_id']}")
    assert answer.status == 200
    assert checked(answer, threads_api_pb2.ThreadReplyBody)["thread"] == thread
    listed = (await api.call("GET")).json()
    assert (listed["threads"], listed["total"]) == ([thread], 1)


async def test_create_twice_with_the_same_id(api: Api) -> None:
    thread = await api.create(thread_id="plans", title="First")
    again = await api.call("POST", json_body={"thread_id": "plans", "title": "Second"})
    assert again.status == 200
    assert again.json()["thread"] == thread


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no json", b'{"title": 5}', b'{"thread_id": "a b"}', b'{"channel": "a b"}', b'{"title": "\xff"}'],
    ids=repr,
)
async def test_bad_body(api: Api, body: bytes) -> None:
    answer = await api.call("POST", body=body)
    assert answer.status == 400
    assert checked(answer, threads_api_pb2.HttpErrorBody)["error"]["code"] == 400


@pytest.mark.parametrize("path", ["", "/plans/messages"])
async def test_body_that_is_not_what_its_headers_say(api: Api, path: str) -> None:
    headers = {"Authorization": f"Bearer {api.target.api_key}", "Content-Encoding": "gzip"}
    refused(await api.call("POST", path, headers=headers, body=b'{"title": "no gzip"}'), 400, "invalid_format")


async def test_too_long_a_title(api: Api) -> None:
    assert (await api.call("POST", json_body={"title": "t" * 257})).status == 400


async def test_thread_that_is_not_there(api: Api) -> None:
    for path in ("/nothing", "/nothing/messages"):
        assert (await api.call("GET", path)).status == 404
    assert (await api.call("POST", "/nothing/messages", json_body={"content": "x"})).status == 404


async def test_bad_thread_id(api: Api) -> None:
    assert (await api.call("GET", "/a%20b")).status == 400


async def test_list_by_pages_newest_first(api: Api) -> None:
    made = [(await api.create(title=str(number)))["thread_id"] for number in range(5)]
    seen: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        body = checked(await api.call("GET", query=f"&limit=2&cursor={cursor}"), threads_api_pb2.ThreadListBody)
        assert body["total"] == 5
        seen += [thread["thread_id"] for thread in body["threads"]]
        cursor, pages = body["next_cursor"], pages + 1
    assert (seen, pages) == (made[::-1], 3)


@pytest.mark.parametrize(
    "query", ["&limit=0", "&limit=1001", "&limit=many", "&limit=-1", "&limit=", f"&limit={'0' * 9}19999999999"]
)
async def test_bad_limit(api: Api, query: str) -> None:
    assert (await api.call("GET", query=query)).status == 400


async def test_bad_cursor(api: Api) -> None:
    assert (await api.call("GET", query="&cursor=made-up")).status == 400


async def test_bad_workspace(api: Api) -> None:
    api.workspace = "a%20b"
    assert (await api.call("GET")).status == 400


async def test_messages_over_http_reach_the_websocket_and_back(api: Api, plain_clients: Clients) -> None:
    thread = await api.create(title="Both ways")
    client = await plain_clients.connected("alice", workspace=api.workspace)
    await client.join(thread["channel"])
    path = f"/{thread['thread_id']}/messages"
    answer = await api.call("POST", path, json_body={"content": "by HTTP", "id": "h-1", "client_id": "backend"})
    assert answer.status == 201
    posted = checked(answer, threads_api_pb2.ThreadMessagePostedBody)
    seen = await client.expect("chat_message", content="by HTTP")
    assert (seen["id"], seen["client_id"], seen["offset"]) == ("h-1", "backend", 1)
    assert posted["message"] == seen
    data = {"content": "by WebSocket", "thread_id": thread["thread_id"]}
    await client.send("chat_message", data, channel=thread["channel"])
    await client.take("message_delivered")
    await client.send("chat_message", {"content": "beside it"}, channel=thread["channel"])
    await client.take("message_delivered")
    body = checked(await api.call("GET", path), threads_api_pb2.ThreadMessageListBody)
    assert [m["data"]["content"] for m in body["messages"]] == ["by HTTP", "by WebSocket"]
    assert body["total"] == 2
    assert (await api.call("GET", f"/{thread['thread_id']}")).json()["thread"]["message_count"] == 2


async def test_messages_by_pages_oldest_first(api: Api) -> None:
    thread = await api.create(title="Pages")
    path = f"/{thread['thread_id']}/messages"
    for number in range(5):
        assert (await api.call("POST", path, json_body={"content": number})).status == 201
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        body = (await api.call("GET", path, query=f"&limit=2&cursor={cursor}")).json()
        seen += [message["data"]["content"] for message in body["messages"]]
        cursor = body["next_cursor"]
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "value", ["9" * 400, "9" * 5000, "[" * 900 + "]" * 900, "1.00000000000000000001", "1e400"], ids=len
)
async def test_data_stays_what_was_sent_however_deep_or_long(api: Api, value: str) -> None:
    path = f"/{(await api.create(title='Raw'))['thread_id']}/messages"
    posted = await api.call("POST", path, body=f'{{"content": {value}}}'.encode())
    if "e400" in value or len(value) == 5000:  # which no double holds, and few parsers take
        refused(posted, 400, "invalid_format")
        return
    assert posted.status == 201
    for answer in (posted, await api.call("GET", path)):
        assert value.encode() in answer.body


async def test_posting_twice_with_the_same_id_stores_once(api: Api) -> None:
    path = f"/{(await api.create(title='Once'))['thread_id']}/messages"
    offsets = [
        (await api.call("POST", path, json_body={"content": 1, "id": "same", "client_id": "b"})).json()["message"][
            "offset"
        ]
        for _ in range(2)
    ]
    assert offsets == [1, 1]


@pytest.mark.parametrize("body", [b"{}", b'{"text": "no content"}', b"", b"[1]"], ids=repr)
async def test_message_without_content(api: Api, body: bytes) -> None:
    path = f"/{(await api.create(title='Empty'))['thread_id']}/messages"
    assert (await api.call("POST", path, body=body)).status == 400


async def test_too_large_a_message(api: Api) -> None:
    path = f"/{(await api.create(title='Large'))['thread_id']}/messages"
    assert (await api.call("POST", path, json_body={"content": "x" * 62_000})).status == 413


async def test_too_large_a_body(api: Api) -> None:
    assert (await api.call("POST", json_body={"title": "x" * 2_000_000})).status == 413


async def test_threads_do_not_cross_workspaces(api: Api, target: Target) -> None:
    thread = await api.create(title="Mine")
    elsewhere = Api(target)
    assert (await elsewhere.call("GET", f"/{thread['thread_id']}")).status == 404
    assert (await elsewhere.call("GET")).json()["total"] == 0


async def test_other_methods_are_not_allowed(api: Api) -> None:
    assert (await api.call("DELETE")).status == 405
