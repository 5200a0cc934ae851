"""Splits that keep neighbouring frames together."""

from collections.abc import Sequence

import numpy as np

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.data.base import VideoDataset
from keras_vad.data.video import Clip, Video
from keras_vad.errors import VadError


def hold_out(videos: Sequence[Video], share: float, seed: int) -> tuple[list[Video], list[Video]]:
    """Hold out a share of the training videos as normal validation data.

    Whole videos are held out, at least one, because neighbouring frames are nearly equal. Of a single video, its last
    share is.

    Args:
        videos: The training videos.
        share: Share of the videos to hold out, between 0 and 1.
        seed: Chooses the videos.

    Returns:
        The videos left for training and those held out, both in their first order.

    Raises:
        VadError: If there are no videos, or the share is not between 0 and 1.

    Example:
    >>> from keras_vad.data import open_video
    >>> video = open_video(np.zeros((10, 8, 8), np.uint8), name="street")
    >>> train, held_out = hold_out([video], share=0.2, seed=0)
    >>> [len(v.frames) for v in train], [len(v.frames) for v in held_out], held_out[0].name
    ([8], [2], 'street')
    """
    if not 0 < share < 1:
        raise VadError(f"the share of held-out videos is {share}, but must lie between 0 and 1.")
    if not videos:
        raise VadError("there are no training videos to hold some out of; give at least one.")
    if len(videos) == 1:
        return _cut(videos[0], share)
    count = min(max(1, round(share * len(videos))), len(videos) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(videos))[:count].tolist())
    train = [video for index, video in enumerate(videos) if index not in chosen]
    return train, [video for index, video in enumerate(videos) if index in chosen]


def held_out_of_run(run: RunFolder, dataset: VideoDataset) -> list[Video]:
    """The normal videos that a run held out from training; none if it was trained on other data, or is no run.

    Args:
        run: The run folder.
        dataset: The data set.
    """
    config = run.config()
    if not config or config.get("data_fingerprint") != dataset.fingerprint():
        return []
    return hold_out(dataset.train_videos(), config["data"]["validation_share"], config["seed"])[1]


def _cut(video: Video, share: float) -> tuple[list[Video], list[Video]]:
    n_frames = len(video.frames)
    if n_frames < 2:
        raise VadError(f"the only training video {video.name} has one frame; give a longer one.")
    cut = n_frames - min(max(1, round(share * n_frames)), n_frames - 1)
    train = Video(video.name, Clip(video.frames, 0, cut), video.fps)
    return [train], [Video(video.name, Clip(video.frames, cut, n_frames), video.fps)]
