import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.data import hold_out, open_video
from keras_vad.errors import VadError


def videos(count: int) -> list:
    return [open_video(np.zeros((10, 2, 2), np.uint8), str(i)) for i in range(count)]


@given(count=st.integers(2, 40), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
def test_whole_videos_are_held_out(count, share, seed):
    given_videos = videos(count)
    train, held_out = hold_out(given_videos, share, seed)
    assert sorted([*map(id, train), *map(id, held_out)]) == sorted(map(id, given_videos))
    assert train
    assert held_out
    assert abs(len(held_out) - share * count) <= 1
    for part in (train, held_out):
        assert [int(v.name) for v in part] == sorted(int(v.name) for v in part)
    assert [v.name for v in hold_out(given_videos, share, seed)[1]] == [v.name for v in held_out]


def test_seeds_choose_different_videos():
    assert len({tuple(v.name for v in hold_out(videos(20), 0.2, seed)[1]) for seed in range(5)}) > 1


def test_the_end_of_a_single_video_is_held_out():
    frames = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    (train,), (held_out,) = hold_out([open_video(frames, "street")], 0.25, seed=0)
    assert [int(f[0, 0, 0]) for f in train.frames] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [int(f[0, 0, 0]) for f in held_out.frames] == [8, 9]
    assert train.name == held_out.name == "street"


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5])
def test_a_share_out_of_range(share):
    with pytest.raises(VadError, match=f"^the share of held-out videos is {share}, but must lie between 0 and 1"):
        hold_out(videos(3), share, seed=0)


def test_nothing_to_hold_out_of():
    with pytest.raises(VadError, match=r"^there are no training videos to hold some out of; give at least one"):
        hold_out([], 0.2, seed=0)


def test_a_single_frame():
    with pytest.raises(VadError, match=r"^the only training video one has one frame; give a longer one"):
        hold_out([open_video(np.zeros((1, 2, 2), np.uint8), "one")], 0.2, seed=0)
