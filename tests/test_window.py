import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.errors import VadError
from keras_vad.window import Window, as_size


def test_offsets_are_the_input_frames_unless_told_otherwise():
    assert Window(length=4, size=(8, 8), step=2).scored == (0, 2, 4, 6)
    assert Window(length=4, size=(8, 8), offsets=(3,)).scored == (3,)


@pytest.mark.parametrize(
    ("options", "span"),
    [
        ({"length": 16}, 16),
        ({"length": 5, "step": 3}, 13),
        ({"length": 16, "targets": (16,), "offsets": (16,)}, 17),
        ({"length": 8, "step": 2, "targets": (18, 20), "offsets": (20,)}, 21),
        ({"length": 7, "offsets": (3,)}, 7),
    ],
)
def test_span(options, span):
    assert Window(size=(8, 8), **options).span == span


@given(length=st.integers(1, 8), step=st.integers(1, 3), hop=st.integers(1, 12), more=st.integers(0, 60))
def test_windows_start_at_multiples_of_hop_and_reach_the_last_frame(length, step, hop, more):
    window = Window(length=length, size=(8, 8), step=step, hop=hop)
    n = window.span + more
    starts = window.starts(n)
    assert starts == sorted(set(starts))
    assert all(start % hop == 0 for start in starts[:-1])
    assert starts[0] == 0
    assert starts[-1] + window.span == n
    assert np.diff(starts).max(initial=1) <= hop


def test_a_video_of_one_frame_too_few():
    with pytest.raises(VadError, match="the video has 15 frames, but this model needs at least 16; give it a longer"):
        Window(length=16, size=(8, 8)).starts(15)


@pytest.mark.parametrize("name", ["length", "step", "hop"])
def test_numbers_below_one(name):
    with pytest.raises(VadError, match=f"window {name} is 0, but must be at least 1"):
        Window(**{"length": 4, "size": (8, 8), name: 0})


def test_sizes():
    assert as_size(5) == (5, 5)
    assert as_size([4, 6]) == (4, 6)
    for wrong in (0, (4,), (4, -1), (1, 2, 3), (2.5, 3)):
        with pytest.raises(VadError, match=r"crop_size is .*, but must be \(height, width\), or one number for both"):
            as_size(wrong, "crop_size")
