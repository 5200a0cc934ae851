"""The test that every data-set reader passes, on a tiny data set that it builds itself in the official layout."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from keras_vad.data import FrameCache, VideoDataset, hold_out, open_dataset, window_dataset
from keras_vad.errors import VadError
from keras_vad.window import Window


@dataclass
class Contents:
    """What the tiny data set holds, by the names of its videos in their order.

    ``train`` and ``test`` are uint8 (n, H, W) or (n, H, W, 3), ``labels`` bool (n,) or None, ``masks`` bool (n, H, W)
    or None. ``tolerance`` is the mean absolute error that a lossy layout may have.
    """

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    labels: dict[str, np.ndarray | None]
    masks: dict[str, np.ndarray | None] = field(default_factory=dict)
    tolerance: float = 0.0


class DatasetContract:
    """Inherit, and define ``key``, ``build`` and, unless ``open_dataset`` opens it, ``open``."""

    key: str

    def build(self, root: Path) -> Contents:
        raise NotImplementedError

    def open(self, root: Path) -> VideoDataset:
        return open_dataset(self.key, root)

    @pytest.fixture
    def contents(self, tmp_path):
        return self.build(tmp_path / "data")

    @pytest.fixture
    def dataset(self, contents, tmp_path):
        return self.open(tmp_path / "data")

    def test_has_its_key_as_name(self, dataset):
        assert dataset.name == self.key

    def test_gives_all_videos_in_natural_order(self, dataset, contents):
        assert [video.name for video in dataset.train_videos()] == list(contents.train)
        assert [video.name for video, _ in dataset.test_videos()] == list(contents.test)

    def test_frames_are_rgb_and_those_that_were_written(self, dataset, contents):
        videos = dataset.train_videos() + [video for video, _ in dataset.test_videos()]
        written = [*contents.train.values(), *contents.test.values()]
        for video, expected in zip(videos, written, strict=True):
            frames = list(video.frames)
            assert len(frames) == len(video.frames) == len(expected)
            for frame in frames:
                assert frame.dtype == np.uint8
                assert frame.shape == (*video.frames.size, 3)
            if expected.ndim == 3:
                expected = np.repeat(expected[..., None], 3, axis=-1)
            assert np.abs(np.stack(frames).astype(int) - expected).mean() <= contents.tolerance

    def test_frames_can_be_read_again(self, dataset):
        video = dataset.train_videos()[0]
        np.testing.assert_array_equal(list(video.frames), list(video.frames))

    def test_labels_and_masks_belong_to_the_frames(self, dataset, contents):
        for video, labels in dataset.test_videos():
            expected = contents.labels[video.name]
            if expected is None:
                assert labels is None
                continue
            assert labels.frame.dtype == bool
            np.testing.assert_array_equal(labels.frame, expected)
            masks = contents.masks.get(video.name)
            assert (labels.mask is None) == (masks is None)
            if masks is not None:
                for index, mask in enumerate(masks):
                    found = labels.mask(index)
                    assert found.dtype == bool
                    np.testing.assert_array_equal(found, mask)

    def test_fingerprint_is_that_of_the_content(self, dataset, contents, tmp_path):
        assert self.open(tmp_path / "data").fingerprint() == dataset.fingerprint()
        moved = (tmp_path / "data").rename(tmp_path / "elsewhere")
        assert self.open(moved).fingerprint() == dataset.fingerprint()
        with self._first_training_file(moved).open("ab") as file:
            file.write(b"!")
        assert self.open(moved).fingerprint() != dataset.fingerprint()

    def test_a_damaged_file_is_named(self, contents, tmp_path):
        path = self._first_training_file(tmp_path / "data")
        path.write_bytes(b"no picture and no film")
        dataset = self.open(tmp_path / "data")
        if any(str(path) == one.name for one in dataset.left_out):
            return
        with pytest.raises(VadError) as caught:
            list(dataset.train_videos()[0].frames)
        assert str(path) in str(caught.value)

    def test_a_wrong_folder_is_named(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(VadError, match=f"^{tmp_path / 'empty'} holds no "):
            self.open(tmp_path / "empty")

    def test_walks_through_split_cache_and_windows(self, dataset, tmp_path):
        train, held_out = hold_out(dataset.train_videos(), 0.3, seed=1)
        cache = FrameCache(tmp_path / "cache")
        window = Window(length=3, size=(16, 20))
        for videos in (train, held_out):
            batches = list(window_dataset([cache.get(video, window.size) for video in videos], window, batch_size=1))
            assert len(batches) == sum(len(video.frames) - 2 for video in videos)
            assert batches[0].shape == (1, 3, 16, 20, 3)

    def _first_training_file(self, root: Path) -> Path:
        path = next(path for path in [root / "Train", root / "train", *root.glob("*/*/Train"), root] if path.is_dir())
        while path.is_dir():
            path = min(child for child in path.iterdir() if not child.name.startswith("."))
        return path
