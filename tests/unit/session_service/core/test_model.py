"""Values."""

from session_service.core.model import MESSAGE_OVERHEAD_BYTES, weight
from tests.unit.session_service.fakes import TOPIC, a_message


def test_a_message_weighs_its_data_its_topic_and_its_share() -> None:
    assert weight(a_message(1, data=b"")) == len(TOPIC) + MESSAGE_OVERHEAD_BYTES
    assert weight(a_message(1, data=b"12345")) == weight(a_message(1, data=b"")) + 5
