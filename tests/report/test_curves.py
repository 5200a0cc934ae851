import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.report.curves import Buckets, intervals


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60), st.integers(1, 70))
def test_buckets_hold_every_extreme(values: list[float], most: int) -> None:
    series = np.array(values)
    buckets = Buckets.of(len(series), most)
    low, high = buckets.extremes(series)
    assert len(low) == len(high) <= most
    assert high.max() == series.max()
    assert low.min() == series.min()
    assert (np.repeat(low, buckets.length)[: len(series)] <= series).all()
    assert (np.repeat(high, buckets.length)[: len(series)] >= series).all()
    if len(series) <= most:
        np.testing.assert_array_equal(high, series)


@given(st.lists(st.booleans(), max_size=40))
def test_intervals_are_where_the_series_is_true(flags: list[bool]) -> None:
    spans = intervals(np.array(flags, bool))
    rebuilt = np.zeros(len(flags), bool)
    for start, end in spans:
        assert start < end
        rebuilt[start:end] = True
    assert rebuilt.tolist() == flags
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans))
