import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.data import hold_out, keys_of_training, open_dataset, open_video, unseen_footage
from keras_vad.errors import VadError
from tests.data.media import gray_frames, write_images


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


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Four videos of different content."""
    for number in range(4):
        write_images(tmp_path / "normal" / f"cam{number}", (gray_frames(6) + number).astype(np.uint8))
    return tmp_path / "normal"


def training_on(folder: Path, **changes) -> dict:
    """What a card says of a detector that was trained on half of a folder."""
    dataset, data = open_dataset("folder", folder), {"validation_share": 0.5}
    trained_on = keys_of_training(dataset, 0.5, 3)
    about = {"data_fingerprint": dataset.fingerprint(), "seed": 3, "options": {"data": data}, "trained_on": trained_on}
    return about | changes


def test_footage_of_the_training_gives_what_was_held_out(footage):
    dataset = open_dataset("folder", footage)
    held_out = [video.name for video in hold_out(dataset.train_videos(), 0.5, seed=3)[1]]
    for training in (training_on(footage), training_on(footage, trained_on=None)):
        videos, notes = unseen_footage(training, dataset)
        assert [video.name for video in videos] == held_out
        assert notes == ["2 of 4 videos are taken: the model was trained on the others."]


def test_more_footage_in_the_same_folder_leaves_out_what_was_trained_on_under_any_name(footage):
    training = training_on(footage)
    held_out = {video.name for video in hold_out(open_dataset("folder", footage).train_videos(), 0.5, seed=3)[1]}
    trained = sorted({f"cam{number}" for number in range(4)} - held_out)
    write_images(footage / "new", (gray_frames(6) + 9).astype(np.uint8))
    (footage / trained[0]).rename(footage / "renamed")
    videos, notes = unseen_footage(training, open_dataset("folder", footage))
    assert {video.name for video in videos} == held_out | {"new"}
    assert notes == [f"left out, as the model was trained on them: {', '.join([*trained[1:], 'renamed'])}."]


def test_footage_that_is_new_or_that_nothing_is_known_of(footage, tmp_path):
    training = training_on(footage)
    write_images(tmp_path / "other" / "new", (gray_frames(6) + 9).astype(np.uint8))
    other = open_dataset("folder", tmp_path / "other")
    assert [len(part) for part in unseen_footage(training, other)] == [1, 0]
    for unknown in (None, training | {"trained_on": None}):
        videos, (note,) = unseen_footage(unknown, other)
        assert len(videos) == 1
        assert note.startswith("nothing says which videos the model was trained on; if some of these are among them")


def test_footage_that_was_all_trained_on_is_refused(footage, tmp_path):
    held_out = [video.name for video in hold_out(open_dataset("folder", footage).train_videos(), 0.5, seed=3)[1]]
    training = training_on(footage)
    for name in held_out:
        shutil.rmtree(footage / name)
    with pytest.raises(VadError, match="the model was trained on all 2 videos, and its scores of them are too low"):
        unseen_footage(training, open_dataset("folder", footage))


def test_of_a_single_video_the_end_is_taken(tmp_path):
    write_images(tmp_path / "one", gray_frames(8))
    (video,), notes = unseen_footage(training_on(tmp_path), open_dataset("folder", tmp_path))
    assert len(video.frames) == 4
    assert notes == ["only the end of one is taken, which the model was not trained on."]
