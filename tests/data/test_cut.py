"""Cutting recordings: every frame of the stretch once, to the bit."""

from pathlib import Path

import numpy as np
import pytest

from keras_vad.data.cut import cut_video
from keras_vad.data.video import open_video
from keras_vad.errors import VadError
from tests.command import verb
from tests.data.media import colour_frames, truncate, write_images, write_video

main = verb("data cut")


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(open_video(path).frames))


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """60 frames at 10 a second; MPEG-4 has a key frame every 12 here."""
    return write_video(tmp_path / "street.mp4", colour_frames(60), fps=10)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_parts_hold_every_frame_once_and_start_at_key_frames(tmp_path: Path, suffix: str) -> None:
    street = write_video(tmp_path / f"street{suffix}", colour_frames(60), fps=10)
    parts = cut_video(street, tmp_path / "videos" / "train", 2)
    assert [part.name for part in parts] == [f"street_00{number}{suffix}" for number in (1, 2, 3)]
    assert [len(open_video(part).frames) for part in parts] == [24, 24, 12]
    np.testing.assert_array_equal(np.concatenate([frames_of(part) for part in parts]), frames_of(street))
    assert {open_video(part).fps for part in parts} == {10}
    assert sorted((tmp_path / "videos" / "train").iterdir()) == parts


def test_only_a_stretch(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "parts"
    assert main([str(street), str(folder), "--seconds", "1", "--start", "1", "--end", "4"]) == 0
    parts = [folder / "street_001.mp4", folder / "street_002.mp4", folder / "street_003.mp4"]
    assert capsys.readouterr().out.splitlines() == [str(part) for part in parts]
    # From the key frame at 1.2 s; the frames from 4 s on are left out.
    np.testing.assert_array_equal(np.concatenate([frames_of(part) for part in parts]), frames_of(street)[12:40])


def test_what_cannot_be_cut_is_refused_and_leaves_nothing(street: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    with pytest.raises(VadError, match="the length of a part is 0 seconds, but must be above 0"):
        cut_video(street, folder, 0)
    with pytest.raises(VadError, match=r"street.mp4 has no key frame between 90 and its end seconds; choose another"):
        cut_video(street, folder, 2, start=90)
    with pytest.raises(VadError, match=r"street.mp4 has no key frame between 0.5 and 1 seconds"):
        cut_video(street, folder, 2, start=0.5, end=1)
    with pytest.raises(VadError, match=r"nowhere.mp4 does not exist"):
        cut_video(tmp_path / "nowhere.mp4", folder, 2)
    write_images(tmp_path / "frames", colour_frames(3))
    with pytest.raises(VadError, match="frames cannot be opened as a video"):
        cut_video(tmp_path / "frames", folder, 2)
    broken = truncate(write_video(tmp_path / "broken.avi", colour_frames(60), fps=10))
    with pytest.raises(VadError, match=r"broken.avi"):
        cut_video(broken, folder, 2)
    assert not folder.exists()


def test_parts_are_never_replaced(street: Path, tmp_path: Path) -> None:
    before = cut_video(street, tmp_path / "parts", 2)
    with pytest.raises(VadError, match=r"street_001.mp4 exists; delete the parts of street.mp4 there, or name another"):
        cut_video(street, tmp_path / "parts", 3)
    assert sorted((tmp_path / "parts").iterdir()) == before
