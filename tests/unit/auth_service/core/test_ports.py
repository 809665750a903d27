"""What passes between the rules and the store."""

from auth_service.core.ports import KeyPage
from tests.unit.auth_service.fakes import a_record


def test_a_page_says_where_the_next_one_begins() -> None:
    one, other = a_record("k1"), a_record("k2")
    assert KeyPage([(3, one), (7, other)], more=True).next_after == 7
    assert KeyPage([(3, one), (7, other)], more=False).next_after is None
    assert KeyPage([(3, one), (7, other)], more=False).records == [one, other]
