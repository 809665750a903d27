"""The canaries' topic."""

import pytest

from session_service.core.canary import canary_topic, is_canary
from session_service.core.errors import InvalidField
from session_service.core.topic import parse_topic


def test_a_canary_topic_is_known_as_one() -> None:
    assert is_canary(canary_topic("service-1"))
    assert not is_canary("tests/w1/canary")


def test_no_client_can_name_a_canary_topic() -> None:
    with pytest.raises(InvalidField):
        parse_topic(canary_topic("service-1"))


def test_each_service_has_its_own() -> None:
    assert canary_topic("a") != canary_topic("b")
