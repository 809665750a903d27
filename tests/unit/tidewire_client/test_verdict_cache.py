import pytest

from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verdict_cache import MAX_CHANGES, VerdictCache

NOW_S = 1000.0


def verdict(key_id: str = "k1", *, revision: int = 1, code: VerdictCode = VerdictCode.VALID, **more: float) -> Verdict:
    return Verdict(code, key_id, revision=revision, **{"cache_ttl_s": 5.0, **more})


def test_what_is_put_is_known() -> None:
    cache = VerdictCache(10)
    assert cache.get("q", NOW_S) is None
    assert cache.put("q", verdict())
    assert cache.get("q", NOW_S) == verdict()
    assert len(cache) == 1


def test_a_verdict_ends_at_its_expiry() -> None:
    cache = VerdictCache(10)
    cache.put("q", verdict(expire_time_s=NOW_S + 1))
    assert cache.get("q", NOW_S + 0.999) is not None
    assert cache.get("q", NOW_S + 1) is None
    assert len(cache) == 0


@pytest.mark.parametrize("code", list(VerdictCode))
def test_only_verdicts_that_a_change_would_end_are_kept(code: VerdictCode) -> None:
    kept = code in (VerdictCode.VALID, VerdictCode.INSUFFICIENT_PERMISSIONS, VerdictCode.FORBIDDEN)
    assert VerdictCache(10).put("q", verdict(code=code)) is kept


def test_what_is_good_for_one_use_only_is_not_kept() -> None:
    assert not VerdictCache(10).put("q", verdict(cache_ttl_s=0))


def test_an_unknown_key_is_never_kept() -> None:
    assert not VerdictCache(10).put("q", verdict(key_id="", code=VerdictCode.NOT_FOUND))


def test_a_change_forgets_all_of_its_key_and_nothing_else() -> None:
    cache = VerdictCache(10)
    cache.put("a", verdict("k1"))
    cache.put("b", verdict("k1"))
    cache.put("c", verdict("k2"))
    cache.change("k1", 5)
    assert cache.get("a", NOW_S) is None
    assert cache.get("b", NOW_S) is None
    assert cache.get("c", NOW_S) is not None


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    cache = VerdictCache(10)
    cache.change("k1", 5)
    assert cache.outdated(verdict(revision=4))
    assert not cache.put("q", verdict(revision=4))
    assert cache.put("q", verdict(revision=5))
    assert not cache.outdated(verdict("k2", revision=1))


def test_changes_may_come_in_any_order() -> None:
    cache = VerdictCache(10)
    cache.change("k1", 5)
    cache.change("k1", 3)
    assert cache.outdated(verdict(revision=4))


def test_the_least_recently_used_goes_first() -> None:
    cache = VerdictCache(2)
    cache.put("a", verdict("k1"))
    cache.put("b", verdict("k2"))
    cache.get("a", NOW_S)
    cache.put("c", verdict("k3"))
    assert cache.get("b", NOW_S) is None
    assert cache.get("a", NOW_S) is not None
    assert len(cache) == 2


def test_a_forgotten_change_still_guards() -> None:
    cache = VerdictCache(2)
    cache.change("k1", 7)
    cache.change("k2", 8)
    cache.change("k3", 9)
    assert cache.outdated(verdict("k1", revision=6))
    assert not cache.outdated(verdict("k1", revision=7))


def test_of_many_changes_only_the_last_are_remembered_and_the_others_still_guard() -> None:
    cache = VerdictCache(10 * MAX_CHANGES)
    for revision in range(1, MAX_CHANGES + 3):
        cache.change(f"k{revision}", revision)
    assert not cache.put("q", verdict("new", revision=1))
    assert cache.put("q", verdict("new", revision=2))


def test_putting_again_replaces() -> None:
    cache = VerdictCache(2)
    cache.put("q", verdict("k1", revision=1))
    cache.put("q", verdict("k2", revision=2))
    cache.change("k1", 3)
    assert cache.get("q", NOW_S) == verdict("k2", revision=2)
    assert len(cache) == 1


def test_clearing_forgets_verdicts_but_not_changes() -> None:
    cache = VerdictCache(10)
    cache.put("q", verdict())
    cache.change("k2", 5)
    cache.clear()
    assert len(cache) == 0
    assert cache.outdated(verdict("k2", revision=4))


def test_after_a_loss_nothing_made_before_it_is_taken() -> None:
    cache = VerdictCache(10)
    cache.change("k2", 3)
    cache.begin_at(7)
    assert not cache.put("q", verdict("k1", revision=6))
    assert not cache.put("q", verdict("k2", revision=6))
    assert cache.put("q", verdict("k1", revision=7))


def test_a_store_that_was_replaced_begins_anew() -> None:
    cache = VerdictCache(1)
    for number in range(3):
        cache.change(f"k{number}", 100 + number)
    cache.put("q", verdict("k1", revision=200))
    cache.begin_at(7)
    assert len(cache) == 0
    assert cache.put("q", verdict("k2", revision=7))
    assert not cache.put("q", verdict("k2", revision=6))
