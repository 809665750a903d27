import pytest
from tidewire.auth.v1 import auth_pb2, keys_pb2

from tidewire_client.verdict import KeyLimits, Verdict, VerdictCode, code_of, limits_of, verdict_of


@pytest.mark.parametrize("value", list(auth_pb2.VerdictCode.values()))
def test_codes_are_those_of_the_contract(value: int) -> None:
    assert f"VERDICT_CODE_{code_of(value).name}" == auth_pb2.VerdictCode.Name(value)


def test_a_code_that_is_not_known_yet_allows_nothing() -> None:
    assert code_of(99) is VerdictCode.UNSPECIFIED
    assert not verdict_of(auth_pb2.Verdict(code=99)).allowed  # type: ignore[arg-type]


def test_limits_are_those_of_the_contract() -> None:
    names = [field.name for field in keys_pb2.KeyLimits.DESCRIPTOR.fields]
    numbers = dict(zip(names, range(1, 99), strict=False))
    assert limits_of(keys_pb2.KeyLimits(**numbers)) == KeyLimits(**numbers)  # type: ignore[arg-type]


def test_a_verdict_knows_nothing_of_protobuf() -> None:
    given = auth_pb2.Verdict(
        code=auth_pb2.VERDICT_CODE_VALID, key_id="k", owner="ann", permissions=["join:*"], revision=7, missing="m"
    )
    given.expire_time.FromMilliseconds(1500)
    given.cache_ttl.FromMilliseconds(250)
    assert verdict_of(given) == Verdict(VerdictCode.VALID, "k", "ann", ("join:*",), KeyLimits(), 1.5, 0.25, 7, "m")
    assert verdict_of(auth_pb2.Verdict()).expire_time_s is None


def test_what_is_left_and_when_to_come_again() -> None:
    given = auth_pb2.Verdict(code=auth_pb2.VERDICT_CODE_RATE_LIMITED, remaining_uses=0)
    given.retry_after.FromMilliseconds(1200)
    assert (verdict_of(given).retry_after_s, verdict_of(given).remaining_uses) == (1.2, 0)
    assert verdict_of(auth_pb2.Verdict()).remaining_uses is None


@pytest.mark.parametrize("code", list(VerdictCode))
def test_which_verdicts_answer_more_than_one_use(code: VerdictCode) -> None:
    of_the_moment = code in (VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED)
    assert Verdict(code, "k", cache_ttl_s=5.0).reusable is not of_the_moment
    assert not Verdict(code, "k", cache_ttl_s=0.0).reusable
