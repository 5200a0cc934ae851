import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.errors import VadError
from keras_vad.scoring.chunks import fit_chunk_length, iter_chunks
from keras_vad.scoring.series import assemble, score_in_chunks
from keras_vad.window import Window


def video_of(n_frames: int) -> np.ndarray:
    """Frames that carry their own number in their pixels."""
    numbers = np.arange(n_frames)
    return np.stack([numbers % 256, numbers // 256, 0 * numbers], -1).astype(np.uint8)[:, None, None, :]


def scores_by_plain_loop(numbers: np.ndarray, window: Window) -> dict[int, float]:
    """The rule of `keras_vad.scoring.chunks` on frames given by their numbers: frame position -> mean score."""
    found: dict[int, list[float]] = {}
    regular_end = -1
    for start in window.starts(len(numbers)):
        is_tail = start % window.hop != 0
        first_number = numbers[start]  # a window's scores depend on which window it is
        for offset in window.scored:
            if not is_tail:
                regular_end = max(regular_end, start + offset)
            elif start + offset <= regular_end:
                continue
            found.setdefault(start + offset, []).append(np.sin(1.0 + 7.0 * first_number + 3.0 * offset))
    return {frame: float(np.mean(scores)) for frame, scores in sorted(found.items())}


def score_chunk(frames: np.ndarray, window: Window) -> dict[str, np.ndarray]:
    numbers = frames[0, :, 0, 0, 0].astype(int) + 256 * frames[0, :, 0, 0, 1].astype(int)
    scores = scores_by_plain_loop(numbers, window)
    values = np.array(list(scores.values()), np.float32)[None]
    return {"raw_scores": values, "scores": values, "frame_offsets": np.array(list(scores), np.int32)[None]}


@st.composite
def windows(draw: st.DrawFn) -> Window:
    length, step = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    ahead = draw(st.integers(0, 4))
    last = (length - 1) * step + ahead
    offsets = draw(st.none() | st.sets(st.integers(0, last), min_size=1).map(lambda chosen: tuple(sorted(chosen))))
    window = Window(length=length, size=(1, 1), step=step, offsets=offsets, targets=(last,) if ahead else ())
    hop = draw(st.integers(1, window.span))
    return Window(length=length, size=(1, 1), step=step, offsets=offsets, targets=window.targets, hop=hop)


@given(window=windows(), extra_frames=st.integers(0, 120), chunk_length=st.integers(1, 60))
def test_scores_do_not_depend_on_chunk_length(window: Window, extra_frames: int, chunk_length: int) -> None:
    n = window.span + extra_frames
    expected = scores_by_plain_loop(np.arange(n), window)
    scores = score_in_chunks(video_of(n), window, lambda frames: score_chunk(frames, window), chunk_length)
    assert scores.frame_index.tolist() == list(expected)
    np.testing.assert_allclose(scores.raw, list(expected.values()), atol=1e-6)


@given(window=windows(), extra_frames=st.integers(0, 120), chunk_length=st.integers(1, 60))
def test_chunks_have_one_length_and_keep_every_frame_once(window: Window, extra_frames: int, chunk_length: int) -> None:
    n = window.span + extra_frames
    video = video_of(n)
    length = fit_chunk_length(window, chunk_length)
    assert length >= chunk_length and (length - window.span) % window.hop == 0
    chunks = list(iter_chunks(video, window, chunk_length))
    kept = [frame for chunk in chunks for frame in chunk.keep]
    assert kept == list(range(n))
    for chunk in chunks:
        assert len(chunk.frames) == min(n, length)
        np.testing.assert_array_equal(chunk.frames, video[chunk.start : chunk.start + len(chunk.frames)])


@pytest.mark.parametrize("window", [Window(16, (1, 1), offsets=(16,), targets=(16,)), Window(16, (1, 1), hop=4)])
def test_holds_about_two_chunks_of_frames(window: Window) -> None:
    read = 0

    def frames():
        nonlocal read
        for frame in video_of(1000):
            read += 1
            yield frame

    for chunk in iter_chunks(frames(), window, 64):
        assert read - chunk.start <= 2 * 64 + window.hop


def test_prediction_offsets_by_hand() -> None:
    window = Window(length=4, size=(1, 1), offsets=(4,), targets=(4,), hop=1)
    chunks = [(c.start, len(c.frames), c.keep) for c in iter_chunks(video_of(10), window, chunk_length=6)]
    assert chunks == [(0, 6, range(0, 6)), (2, 6, range(6, 8)), (4, 6, range(8, 10))]


def test_short_video_says_what_is_needed() -> None:
    with pytest.raises(VadError, match="has 3 frames, but this model needs at least 4"):
        list(iter_chunks(video_of(3), Window(length=4, size=(1, 1))))


def test_odd_frames_are_named() -> None:
    frames = [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)]
    with pytest.raises(VadError, match=r"frame 1 has size \(2, 3\)"):
        list(iter_chunks(frames, Window(length=1, size=(2, 2))))
    with pytest.raises(VadError, match="frame 0 is float64"):
        list(iter_chunks(np.zeros((4, 2, 2, 3)), Window(length=1, size=(2, 2))))
    with pytest.raises(VadError, match="chunk length is 0"):
        fit_chunk_length(Window(length=1, size=(2, 2)), 0)


def test_assemble_takes_parts_and_maps_of_kept_frames() -> None:
    window = Window(length=2, size=(1, 1), hop=2)
    chunks = list(iter_chunks(video_of(7), window, chunk_length=4))
    answers = []
    for chunk in chunks:
        position = np.arange(4, dtype=np.float32) + chunk.start
        maps = np.broadcast_to(position[:, None, None], (4, 2, 3))
        answers.append(
            {"raw_scores": position, "scores": position / 10, "frame_offsets": np.arange(4), "part/a": -position}
            | {"maps": maps}
        )
    scores = assemble(zip(chunks, answers, strict=True))
    assert len(scores) == 7
    assert scores.frame_index.tolist() == list(range(7))
    assert scores.raw.tolist() == list(range(7))
    assert scores.parts["a"].tolist() == [-x for x in range(7)]
    assert scores.maps is not None and scores.maps.shape == (7, 2, 3)
    assert scores.alarm.tolist() == [False] * 6 + [True]


def test_assemble_refuses_an_answer_without_scores() -> None:
    window = Window(length=2, size=(1, 1), hop=2)
    chunks = list(iter_chunks(video_of(4), window))
    with pytest.raises(VadError, match="must hold frame_offsets, raw_scores and scores"):
        assemble([(chunks[0], {"scores": np.zeros(4)})])
