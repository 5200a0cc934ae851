import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vad.data import FrameCache, open_video, steps_per_epoch, window_dataset
from keras_vad.errors import VadError
from keras_vad.window import Window

SIZE = (2, 2)


@pytest.fixture(scope="module")
def videos_of(tmp_path_factory):
    """Videos whose frame t of video v has the value 50 v + t everywhere."""
    cache = FrameCache(tmp_path_factory.mktemp("cache"))

    def make(lengths):
        frames = [np.broadcast_to((50 * v + np.arange(n))[:, None, None], (n, *SIZE)) for v, n in enumerate(lengths)]
        return [cache.get(open_video(f.astype(np.uint8), f"v{v}"), SIZE) for v, f in enumerate(frames)]

    return make


def read(dataset) -> list[list[tuple[int, ...]]]:
    """Batches of windows, each as the values of its frames."""
    return [[tuple(w) for w in batch[..., 0, 0, 0].tolist()] for batch in dataset.as_numpy_iterator()]


def flat(batches):
    return [window for batch in batches for window in batch]


def test_by_hand(videos_of):
    window = Window(length=3, size=SIZE, step=2)
    batches = read(window_dataset(videos_of([6, 7]), window, batch_size=2, shuffle=False, drop_remainder=False))
    assert batches == [[(0, 2, 4), (1, 3, 5)], [(50, 52, 54), (51, 53, 55)], [(52, 54, 56)]]


def test_targets_come_last(videos_of):
    window = Window(length=2, size=SIZE, targets=(4,), offsets=(4,))
    batches = read(window_dataset(videos_of([6]), window, batch_size=1, shuffle=False))
    assert batches == [[(0, 1, 4)], [(1, 2, 5)]]


def test_strides_and_hop(videos_of):
    window = Window(length=3, size=SIZE)
    dataset = window_dataset(videos_of([7, 4]), window, batch_size=1, shuffle=False, speeds=(1, 2), hop=2)
    # The second video is too short for speed 2.
    assert flat(read(dataset)) == [(0, 1, 2), (2, 3, 4), (4, 5, 6), (0, 2, 4), (2, 4, 6), (50, 51, 52)]


cases = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(9, 30), min_size=1, max_size=4),
        "length": st.integers(1, 4),
        "step": st.integers(1, 2),
        "targets": st.lists(st.integers(0, 8), max_size=2).map(tuple),
        "speeds": st.sets(st.integers(1, 3), min_size=1).map(lambda s: tuple(sorted(s | {1}))),
        "hop": st.integers(1, 4),
        "batch_size": st.sampled_from([2, 4]),
        "seed": st.integers(0, 3),
        "epoch": st.integers(0, 3),
    }
)


@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_an_epoch_holds_every_window_once(videos_of, case):
    lengths, length, step, targets = (case.pop(name) for name in ("lengths", "length", "step", "targets"))
    batch_size, seed, epoch = case["batch_size"], case.pop("seed"), case.pop("epoch")
    window = Window(length=length, size=SIZE, step=step, targets=targets)
    offsets = [*(i * step for i in range(length)), *targets]
    expected = [
        tuple(50 * v + start + speed * offset for offset in offsets)
        for v, n in enumerate(lengths)
        for speed in case["speeds"]
        for start in range(0, n, case["hop"])
        if start + speed * max(offsets) < n
    ]
    videos = videos_of(lengths)

    in_order = read(window_dataset(videos, window, shuffle=False, drop_remainder=False, **case))
    assert flat(in_order) == expected
    assert len(in_order) == steps_per_epoch(videos, window, drop_remainder=False, **case)

    shuffled = read(window_dataset(videos, window, drop_remainder=False, seed=seed, epoch=epoch, **case))
    assert sorted(flat(shuffled)) == sorted(expected)
    assert shuffled == read(window_dataset(videos, window, drop_remainder=False, seed=seed, epoch=epoch, **case))

    if len(expected) >= batch_size:
        dataset = window_dataset(videos, window, seed=seed, epoch=epoch, **case)
        assert dataset.element_spec.shape == (batch_size, len(offsets), *SIZE, 3)
        assert read(dataset) == [batch for batch in shuffled if len(batch) == batch_size]
        assert len(read(dataset)) == steps_per_epoch(videos, window, **case)
        resumed = read(window_dataset(videos, window, seed=seed, epoch=epoch, skip_batches=1, **case))
        assert resumed == read(dataset)[1:]
        parts = [read(window_dataset(videos, window, seed=seed, epoch=epoch, shard=(i, 2), **case)) for i in range(2)]
        assert [a + b for a, b in zip(*parts, strict=True)] == read(dataset)


def test_seeds_and_epochs_differ(videos_of):
    videos, window = videos_of([40]), Window(length=2, size=SIZE)
    orders = [
        str(read(window_dataset(videos, window, batch_size=3, seed=seed, epoch=epoch)))
        for seed in range(2)
        for epoch in range(2)
    ]
    assert len(set(orders)) == 4


def test_pixels_are_those_of_the_cache(tmp_path):
    rng = np.random.default_rng(0)
    cache = FrameCache(tmp_path)
    for shape in ((12, 5, 7), (12, 5, 7, 3)):
        frames = rng.integers(0, 256, shape, np.uint8)
        (batch,) = window_dataset(
            [cache.get(open_video(frames), (5, 7))], Window(length=4, size=(5, 7)), batch_size=9, shuffle=False
        )
        rgb = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
        np.testing.assert_array_equal(batch, np.stack([rgb[i : i + 4] for i in range(9)]))


def refused(*args, **kwargs) -> str:
    with pytest.raises(VadError) as caught:
        window_dataset(*args, **kwargs)
    return str(caught.value)


def test_a_video_shorter_than_the_window(videos_of):
    assert refused(videos_of([20, 15]), Window(length=16, size=SIZE), batch_size=1) == (
        "v1 has 15 frames, but a window spans 16; leave that video out or give a longer one."
    )


def test_fewer_windows_than_a_batch(videos_of):
    assert refused(videos_of([18]), Window(length=16, size=SIZE), batch_size=4) == (
        "the videos hold 3 windows, but a batch has 4; give longer videos or a smaller batch."
    )


def test_no_videos():
    assert refused([], Window(length=2, size=SIZE), batch_size=1) == (
        "there are no videos to take windows from; give at least one."
    )


def test_sizes_that_differ(tmp_path):
    cache = FrameCache(tmp_path)
    video = open_video(np.zeros((9, 4, 4), np.uint8), "street")
    videos = [cache.get(video, (4, 4)), cache.get(video, (2, 3))]
    assert refused(videos, Window(length=2, size=(4, 4)), batch_size=1) == (
        "street is cached at 3x2, but street at 4x4; cache all videos at one size."
    )


def test_batches_that_cannot_be_split(videos_of):
    window = Window(length=2, size=SIZE)
    assert refused(videos_of([9]), window, batch_size=3, shard=(0, 2)) == (
        "a batch of 3 windows cannot be split into 2 equal parts; change the batch size."
    )
    assert refused(videos_of([9]), window, batch_size=2, shard=(0, 2), drop_remainder=False) == (
        "the last, smaller batch cannot be split among workers; use drop_remainder=True."
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"hop": 0}, "the smallest hop of the windows is 0, but must be at least 1."),
        ({"speeds": (0, 1)}, "the smallest speed of the windows is 0, but must be at least 1."),
        ({"speeds": ()}, "the smallest speed of the windows is 0, but must be at least 1."),
        ({"batch_size": 0}, "the batch size is 0, but must be at least 1."),
    ],
)
def test_arguments_out_of_range(videos_of, arguments, sentence):
    assert refused(videos_of([9]), Window(length=2, size=SIZE), **{"batch_size": 1, **arguments}) == sentence
