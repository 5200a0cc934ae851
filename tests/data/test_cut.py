"""Cutting recordings: every frame of the stretch once, to the bit."""

from pathlib import Path

import av
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


def test_with_b_frames_no_frame_is_lost(tmp_path: Path) -> None:
    street = tmp_path / "street.mp4"
    with av.open(str(street), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "20", "bf": "3", "sc_threshold": "0"})
        stream.height, stream.width, stream.pix_fmt = 24, 36, "yuv420p"
        for frame in colour_frames(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert any(packet.pts != packet.dts for packet in av.open(str(street)).demux(video=0))
    parts = cut_video(street, tmp_path / "parts", 2)
    assert [len(open_video(part).frames) for part in parts] == [20, 20, 20]
    np.testing.assert_array_equal(np.concatenate([frames_of(part) for part in parts]), frames_of(street))


def test_one_group_of_pictures_is_one_part(tmp_path: Path) -> None:
    street = write_video(tmp_path / "street.mp4", colour_frames(40), fps=10, codec="libx264")
    (part,) = cut_video(street, tmp_path / "parts", 1)
    np.testing.assert_array_equal(frames_of(part), frames_of(street))


def test_what_cannot_be_cut_as_it_is_can_be_encoded_again(tmp_path: Path) -> None:
    raw = write_video(tmp_path / "street.h264", colour_frames(40, (48, 64)), fps=10, codec="libx264")
    with pytest.raises(VadError, match=r"street.h264 is a stream without times, .* \(--encode, and --fps\)"):
        cut_video(raw, tmp_path / "parts", 1)
    with pytest.raises(VadError, match=r"street.h264 has no clock; say how many frames it has a second \(--fps\)"):
        cut_video(raw, tmp_path / "parts", 1, encode=True)
    assert main([str(raw), str(tmp_path / "parts"), "--seconds", "1.5", "--encode", "--fps", "10"]) == 0
    parts = [tmp_path / "parts" / f"street_00{number}.mp4" for number in (1, 2, 3)]
    assert [len(open_video(part).frames) for part in parts] == [15, 15, 10]
    np.testing.assert_allclose(open_video(parts[1]).times, np.arange(15) / 10, atol=1e-3)
    found = np.concatenate([frames_of(part) for part in parts]).astype(int)
    assert np.abs(found - frames_of(raw)).mean() < 3
