"""The client cuts videos as keras_vad.scoring.chunks does, and resizes frames as the graph does."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras_vad_client import VadClientError
from keras_vad_client import Window as ClientWindow
from keras_vad_client.chunks import Chunker, fit_chunk_length
from keras_vad_client.resize import resize_frame

from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_frames
from keras_vad.scoring import chunks as reference
from keras_vad.window import Window


@st.composite
def windows(draw):
    length, step = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    offsets = draw(st.none() | st.sets(st.integers(0, length * step + 2), min_size=1).map(sorted).map(tuple))
    targets = draw(st.sampled_from([(), (length * step,)]))
    return Window(length, (1, 1), step=step, offsets=offsets, targets=targets, hop=draw(st.integers(1, 20)))


def client_window(window: Window) -> ClientWindow:
    return ClientWindow(
        window.length, window.step, window.span, window.hop, *window.size, window.channels, offsets=window.scored
    )


def numbered(n):
    """Frames that carry their numbers."""
    return np.arange(n, dtype=np.uint32).view(np.uint8).reshape(n, 1, 4)[..., :3].reshape(n, 1, 1, 3)


def cut(frames, window, chunk_length):
    """(start, number of frames in the video when the chunk came, frames or None, keep) of every chunk."""
    chunker = Chunker(client_window(window), chunk_length)
    found = []
    for number, frame in enumerate(frames, start=1):
        chunk = chunker.push(frame)
        if chunk is not None:
            found.append((number, chunk))
        assert len(chunker._held) < fit_chunk_length(client_window(window), chunk_length) + window.hop
    return found, chunker.finish()


def scored_frames(window, chunk_frames, start, keep):
    """Frame number -> the windows (by first frame) that score it, of what a detector answers to a chunk."""
    starts = window.starts(chunk_frames)
    scores = {}
    for first in starts:
        regular = first % window.hop == 0
        for offset in window.scored:
            if regular or first + offset > max(s for s in starts if s % window.hop == 0) + max(window.scored):
                scores.setdefault(start + first + offset, set()).add(start + first)
    return {frame: found for frame, found in scores.items() if frame in keep}


@given(windows(), st.integers(1, 120), st.none() | st.integers(1, 60))
@example(Window(4, (1, 1), hop=3), 64, None)
def test_chunks_and_scores_are_those_of_the_library(window, n, chunk_length):
    frames = numbered(n)
    try:
        expected = list(reference.iter_chunks(frames, window, chunk_length))
    except VadError as error:
        with pytest.raises(VadClientError) as found_error:
            cut(frames, window, chunk_length)
        assert str(found_error.value) == str(error)
        return
    live, rest = cut(frames, window, chunk_length)
    found = [chunk for _, chunk in live] + rest

    # The same requests are sent ...
    sent = [chunk for chunk in found if chunk.frames is not None]
    assert [chunk.start for chunk in sent] == [chunk.start for chunk in expected]
    for ours, theirs in zip(sent, expected, strict=True):
        np.testing.assert_array_equal(np.stack(ours.frames), theirs.frames)
    # ... and of their answers the same is kept: every frame by the same windows, each frame once, in order.
    ours, theirs = {}, {}
    length = len(sent[0].frames)
    for chunk in found:
        part = scored_frames(window, length, chunk.start, chunk.keep)
        assert not ours.keys() & part.keys()
        ours |= part
    for chunk in expected:
        theirs |= scored_frames(window, length, chunk.start, chunk.keep)
    assert ours == theirs
    ends = [0, *(chunk.keep.stop for chunk in found)]
    assert [chunk.keep.start for chunk in found] == ends[:-1]


@given(windows(), st.integers(1, 120), st.none() | st.integers(1, 60))
def test_a_chunk_is_sent_with_the_frame_that_fills_it(window, n, chunk_length):
    if n < window.span:
        return
    live, rest = cut(numbered(n), window, chunk_length)
    assert all(number == chunk.start + len(chunk.frames) for number, chunk in live)
    # What stands for an answer that is there already comes right after its chunk.
    for number, chunk in enumerate(rest):
        if chunk.frames is None:
            assert number == 0
            assert chunk.start == live[-1][1].start


@given(windows(), st.integers(1, 60))
def test_knows_which_frames_of_a_chunk_are_scored(window, n):
    if n >= window.span:
        assert client_window(window).scored_in(n) == set(scored_frames(window, n, 0, range(n)))


@given(windows(), st.none() | st.integers(1, 200))
def test_the_same_chunk_length(window, chunk_length):
    assert fit_chunk_length(client_window(window), chunk_length) == reference.fit_chunk_length(window, chunk_length)


def test_no_chunk_length_below_one():
    with pytest.raises(VadClientError, match="chunk length is 0, but must be at least 1 frame"):
        Chunker(client_window(Window(4, (1, 1))), 0)


sides = st.integers(1, 40)


@given(st.data(), sides, sides, sides, sides)
def test_resized_frames_are_those_of_the_graph_to_the_bit(data, height, width, new_height, new_width):
    values = st.integers(0, 255) if data.draw(st.booleans()) else st.sampled_from([0, 255])
    frame = data.draw(hnp.arrays(np.uint8, (height, width, 3), elements=values))
    found = resize_frame(frame, (new_height, new_width))
    np.testing.assert_array_equal(found, resize_frames(frame, (new_height, new_width)).numpy())


@pytest.mark.parametrize(("old", "new"), [((240, 360), (128, 192)), ((720, 1280), (160, 160)), ((96, 96), (224, 224))])
def test_real_sizes(old, new):
    frame = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_frame(frame, new), resize_frames(frame, new).numpy())


def test_a_frame_of_that_size_stays_as_it_is():
    frame = np.zeros((4, 5, 3), np.uint8)
    assert resize_frame(frame, (4, 5)) is frame
