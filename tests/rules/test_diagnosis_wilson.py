"""The Wilson interval and the gaps made of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertrace_rules.diagnosis.wilson import excess, gap, interval

shares = st.integers(0, 2_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
real_shares = st.integers(1, 2_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares)
def test_an_interval_lies_within_0_and_1_and_holds_its_share(share: tuple[int, int]) -> None:
    low, high = interval(*share)
    assert 0 <= low <= high <= 1
    if share[1]:
        assert low <= share[0] / share[1] <= high


@given(real_shares)
def test_one_more_hit_raises_both_bounds(share: tuple[int, int]) -> None:
    k, n = share
    if k < n:
        assert interval(k, n)[0] <= interval(k + 1, n)[0]
        assert interval(k, n)[1] <= interval(k + 1, n)[1]


@given(real_shares, st.integers(2, 20))
def test_more_cases_of_the_same_share_narrow_the_interval(share: tuple[int, int], times: int) -> None:
    k, n = share
    low, high = interval(k, n)
    closer = interval(k * times, n * times)
    assert closer[1] - closer[0] < high - low


@given(shares)
def test_the_interval_of_the_misses_mirrors_that_of_the_hits(share: tuple[int, int]) -> None:
    k, n = share
    low, high = interval(k, n)
    assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_the_interval_solves_the_equation_it_is_defined_by() -> None:
    for k, n in ((1, 10), (37, 40), (5, 5), (0, 12)):
        for bound in interval(k, n):
            margin = 1.96 * math.sqrt(bound * (1 - bound) / n)
            assert abs(k / n - bound) == pytest.approx(margin, abs=1e-9)


def test_no_case_at_all_says_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert gap((0, 0), (0, 500)) < 0


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_what_is_no_share_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        interval(k, n)


@given(shares, shares)
def test_the_gap_is_symmetric_and_the_excess_is_not_above_it(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert gap(one, other) == pytest.approx(gap(other, one))
    assert -1 <= gap(one, other) <= 1
    assert excess(one, other) <= gap(one, other)


def test_few_cases_prove_less_than_many() -> None:
    assert gap((2, 2), (0, 20)) < gap((5, 5), (0, 20)) < gap((50, 50), (0, 20))
