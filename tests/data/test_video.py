import numpy as np
import pytest
from PIL import Image

from keras_vad.data import ArrayFrames, Clip, FrameFolder, VideoFile, open_video
from keras_vad.data.video import natural_key, read_image
from keras_vad.errors import VadError
from tests.data.media import colour_frames, gray_frames, truncate, write_images, write_video


def refused(act) -> str:
    with pytest.raises(VadError) as caught:
        act()
    return str(caught.value)


def test_natural_order(tmp_path):
    names = ["10.png", "9.png", "frame10.png", "frame9b.png", "frame9.png", "a.png"]
    ordered = sorted((tmp_path / name for name in names), key=natural_key)
    assert [path.name for path in ordered] == ["9.png", "10.png", "a.png", "frame9.png", "frame9b.png", "frame10.png"]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "PNG"])
def test_images_are_read_as_they_are(tmp_path, suffix):
    for folder, frames in (("gray", gray_frames(3)), ("colour", colour_frames(3))):
        write_images(tmp_path / folder, frames, [f"{i}.{suffix}" for i in range(3)])
        read = np.stack(list(FrameFolder(tmp_path / folder)))
        np.testing.assert_array_equal(read, frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1))


def test_image_modes(tmp_path):
    gray = gray_frames(1)[0]
    Image.fromarray(gray.astype(np.uint16) * 256 + 7).save(tmp_path / "16bit.png")
    np.testing.assert_array_equal(read_image(tmp_path / "16bit.png"), gray)
    Image.fromarray(gray > 128).save(tmp_path / "bilevel.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bilevel.png"), np.where(gray > 128, 255, 0))
    Image.fromarray(colour_frames(1)[0]).convert("RGBA").save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), colour_frames(1)[0])
    Image.fromarray(gray.astype(np.float32)).save(tmp_path / "float.tif")
    assert refused(lambda: read_image(tmp_path / "float.tif")) == (
        f"{tmp_path}/float.tif has pixels of mode F, but 8-bit gray or RGB is expected; convert it."
    )


@pytest.mark.parametrize(
    ("suffix", "codec"), [("avi", "mpeg4"), ("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx")]
)
def test_video_files_give_every_frame(tmp_path, suffix, codec):
    frames = colour_frames(30, (48, 64))
    path = write_video(tmp_path / f"a.{suffix}", frames, codec=codec)
    video = open_video(path)
    read = np.stack(list(video.frames))
    assert (video.name, video.fps, len(video.frames), video.frames.size) == ("a", 25.0, 30, (48, 64))
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 12


def test_a_gray_film_gives_equal_channels(tmp_path):
    path = write_video(tmp_path / "a.avi", np.repeat(gray_frames(5, (48, 64))[..., None], 3, -1))
    for frame in VideoFile(path):
        np.testing.assert_array_equal(frame[..., 0], frame[..., 1])
        np.testing.assert_array_equal(frame[..., 0], frame[..., 2])


def test_content_keys_follow_the_content(tmp_path):
    frames = gray_frames(4)
    write_images(tmp_path / "a", frames)
    write_images(tmp_path / "b", frames, ["w.png", "x.png", "y.png", "z.png"])
    write_images(tmp_path / "c", frames[::-1])
    a, b, c = (FrameFolder(tmp_path / name).content_key() for name in "abc")
    assert a == b != c
    assert ArrayFrames(frames).content_key() == ArrayFrames(frames.copy()).content_key()
    assert ArrayFrames(frames).content_key() != ArrayFrames(frames.reshape(4, 36, 24)).content_key()
    array = ArrayFrames(frames)
    assert len({Clip(array, 0, 2).content_key(), Clip(array, 1, 2).content_key(), array.content_key()}) == 3


def test_a_clip_is_a_part(tmp_path):
    frames = colour_frames(9)
    clip = Clip(ArrayFrames(frames), 3, 7)
    assert len(clip) == 4
    assert clip.size == (24, 36)
    np.testing.assert_array_equal(list(clip), frames[3:7])
    assert refused(lambda: Clip(ArrayFrames(frames), 3, 10)) == (
        "frames 3 to 10 cannot be cut from 9 frames; choose 0 <= start < stop <= length."
    )


def test_a_video_is_returned_as_it_is():
    video = open_video(gray_frames(3), "street")
    assert open_video(video) is video
    assert video.name == "street"


def test_mixed_frame_sizes(tmp_path):
    write_images(tmp_path, gray_frames(3))
    write_images(tmp_path, gray_frames(1, (20, 30)), ["004.png"])
    assert refused(lambda: list(FrameFolder(tmp_path))) == (
        f"{tmp_path}/004.png is 30x20, but 001.png in the same folder is 36x24; the frames of one video must have one "
        "size: resize them or sort them into folders."
    )


def test_gray_and_colour_mixed(tmp_path):
    write_images(tmp_path, gray_frames(2))
    write_images(tmp_path, colour_frames(1), ["003.png"])
    assert refused(lambda: list(FrameFolder(tmp_path))) == (
        f"{tmp_path}/003.png is coloured, but 001.png in the same folder is gray; the frames of one video must be of "
        "one kind: convert them."
    )


@pytest.mark.parametrize("name", ["001.png", "001.tif", "001.jpg", "001.bmp"])
def test_a_truncated_image(tmp_path, name):
    truncate(write_images(tmp_path, colour_frames(1, (64, 64)), [name])[0])
    sentence = refused(lambda: list(FrameFolder(tmp_path)))
    assert sentence.startswith(f"{tmp_path}/{name} cannot be decoded as an image (")
    assert sentence.endswith("); copy it again from its source.")


def test_an_empty_video_file(tmp_path):
    (tmp_path / "a.avi").touch()
    assert refused(lambda: open_video(tmp_path / "a.avi")) == (
        f"{tmp_path}/a.avi is empty (0 bytes), but a video is expected; copy it again from its source."
    )


def test_a_video_file_without_frames(tmp_path):
    path = write_video(tmp_path / "a.avi", colour_frames(20, (48, 64)))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])  # all of the header, none of the frames
    assert refused(lambda: len(open_video(path).frames)) == (f"{path} holds no frames; copy it again from its source.")


def test_a_truncated_video_file_without_its_index(tmp_path):
    path = truncate(write_video(tmp_path / "a.mp4", colour_frames(20, (48, 64))))
    assert refused(lambda: open_video(path)) == (
        f"{path} cannot be opened as a video (Invalid data found when processing input); it may be truncated or of "
        "another type: copy it again or convert it with ffmpeg."
    )


def test_a_file_without_pictures(tmp_path):
    (tmp_path / "a.mp4").write_text("no film")
    assert refused(lambda: open_video(tmp_path / "a.mp4")).startswith(f"{tmp_path}/a.mp4 cannot be opened as a video (")


def test_a_missing_path(tmp_path):
    assert refused(lambda: open_video(tmp_path / "a.mp4")) == (
        f"{tmp_path}/a.mp4 does not exist; give a video file or a folder of frames."
    )


def test_a_single_image(tmp_path):
    (path,) = write_images(tmp_path, gray_frames(1))
    assert refused(lambda: open_video(path)) == (
        f"{path} is a single image, but a video is expected; give the folder it lies in."
    )


def test_an_empty_folder(tmp_path):
    assert refused(lambda: open_video(tmp_path)) == (
        f"{tmp_path} is empty; a video needs frames: put its images (jpg, png, tif or bmp) there."
    )


@pytest.mark.parametrize(
    "array", [np.zeros((2, 4, 4), np.float32), np.zeros((4, 4), np.uint8), np.zeros((2, 4, 4, 1), np.uint8)]
)
def test_an_array_of_another_kind(array):
    assert refused(lambda: open_video(array)) == (
        f"the array of frames is {array.dtype} {array.shape}, but uint8 (n, height, width, 3) or (n, height, width) is "
        "expected; convert it."
    )


def test_an_empty_array():
    assert refused(lambda: open_video(np.zeros((0, 4, 4), np.uint8))) == (
        "the array of frames is empty (shape (0, 4, 4)); give at least one frame."
    )


def test_a_rate_is_for_sources_without_a_clock(tmp_path):
    write_images(tmp_path / "frames", gray_frames(4))
    assert open_video(tmp_path / "frames").times is None
    np.testing.assert_array_equal(open_video(tmp_path / "frames", fps=8).times, [0, 0.125, 0.25, 0.375])
    film = write_video(tmp_path / "a.mp4", colour_frames(4, (48, 64)), codec="libx264")
    np.testing.assert_allclose(open_video(film, fps=8).times, [0, 0.04, 0.08, 0.12], atol=1e-3)
    for options, sentence in (
        ({"fps": 0}, "fps is 0, but must be above 0 frames a second."),
        ({"max_lost": 1.5}, "max_lost is 1.5, but must be a share between 0 and 1."),
    ):
        assert refused(lambda options=options: open_video(film, **options)) == sentence
