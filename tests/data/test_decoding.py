"""Video files as FFmpeg shows them: their times, which way is up, what is hidden, damaged or missing."""

import re
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from keras_vad.data import VideoFile, open_video
from keras_vad.data.decoding import upright
from keras_vad.errors import VadError
from tests.data.media import colour_frames, truncate, write_video

SIZE = (48, 64)


def numbered(count):
    """Frames whose brightness tells their number."""
    return np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None] * 4, (1, *SIZE, 3))


def number_of(frame):
    return round(float(frame.mean()) / 4)


def write_timed(path, milliseconds, codec="libx264", audio_seconds=0.0):
    """A film of numbered frames that are shown at given times, with sound if asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "0", "crf": "5"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=8000) if audio_seconds else None
        for frame, time in zip(numbered(len(milliseconds)), milliseconds, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * audio_seconds)), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 8000, 0
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def copied(source, path, first=0, options=None):
    """The packets of a film from a key frame before ``first`` on, with ``first`` shown at 0, as a cut without loss."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        target = new.add_stream_from_template(stream)
        ticks = round(first / 25 / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, target
                new.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_times_are_the_timestamps(tmp_path, suffix):
    times = [40 * n for n in range(20)] + [1000 + 400 * n for n in range(10)]
    file = VideoFile(write_timed(tmp_path / f"a.{suffix}", times))
    assert [number_of(frame) for frame in file] == list(range(30))
    np.testing.assert_allclose(file.times, np.array(times) / 1000, atol=0.002)


def test_times_count_from_the_first_frame_and_a_clip_has_its_own(tmp_path):
    path = write_timed(tmp_path / "a.ts", [5000 + 40 * n for n in range(12)])
    file = VideoFile(path)
    np.testing.assert_allclose(file.times, 0.04 * np.arange(12), atol=0.002)
    from keras_vad.data import Clip

    np.testing.assert_allclose(Clip(file, 5, 9).times, 0.04 * np.arange(4), atol=0.002)


def test_an_avi_with_b_frames_has_the_rate_of_its_frames(tmp_path):
    file = VideoFile(write_video(tmp_path / "a.avi", colour_frames(40, SIZE), codec="libx264"))
    assert (len(file), file.fps) == (40, 25.0)
    np.testing.assert_allclose(file.times, np.arange(40) / 25, atol=1e-6)


def test_a_raw_stream_has_no_clock(tmp_path):
    file = VideoFile(write_video(tmp_path / "a.h264", numbered(20), codec="libx264"))
    assert len(file) == 20
    assert (file.fps, file.times) == (None, None)


def test_what_an_edit_list_hides_is_not_there(tmp_path):
    whole = write_timed(tmp_path / "whole.mp4", [40 * n for n in range(50)])
    trimmed = copied(whole, tmp_path / "trim.mp4", first=30, options={"avoid_negative_ts": "disabled"})
    assert b"elst" in trimmed.read_bytes()
    file = VideoFile(trimmed)
    assert [number_of(frame) for frame in file] == list(range(30, 50))
    assert len(file) == 20
    assert file.times[0] == 0


def test_longer_sound_is_no_missing_picture(tmp_path):
    for suffix in ("mkv", "mp4"):
        path = write_timed(tmp_path / f"a.{suffix}", [40 * n for n in range(50)], audio_seconds=9.0)
        assert len(VideoFile(path)) == 50


def test_a_time_lapse_is_whole(tmp_path):
    path = write_timed(tmp_path / "a.mkv", [4000 * n for n in range(10)])
    file = VideoFile(path)
    assert len(file) == 10
    assert file.times[-1] == pytest.approx(36)


MATRICES = {
    "as it is": ((1, 0, 0, 1), lambda image: image),
    "quarter clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "quarter counterclockwise": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize("way", MATRICES)
def test_frames_are_upright(tmp_path, way):
    matrix, expected = MATRICES[way]
    path = write_video(tmp_path / "a.mp4", colour_frames(6, SIZE), codec="libx264")
    stored = np.stack(list(VideoFile(path)))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44  # of the matrix in a track's header
    a, b, c, d = (65536 * value for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    shown = np.stack([expected(frame) for frame in stored])
    np.testing.assert_array_equal(np.stack(list(VideoFile(path))), shown)
    assert VideoFile(path).size == shown.shape[1:3]


def test_an_odd_angle_is_left_alone():
    image = np.arange(12).reshape(2, 2, 3)
    assert upright(image, (46341, 46341, -46341, 46341)) is image


def damaged(path, at, count=1):
    """Overwrite packets of an MPEG-4 AVI with noise, keeping the container whole."""
    data, number = bytearray(path.read_bytes()), 0
    position = data.index(b"movi")
    rng = np.random.default_rng(0)
    while (position := data.find(b"00dc", position)) >= 0 and number < at + count:
        size = struct.unpack_from("<I", data, position + 4)[0]
        if at <= number:
            data[position + 8 : position + 8 + size] = rng.bytes(size)
        number, position = number + 1, position + 8
    path.write_bytes(data)
    return path


def test_a_damaged_packet_costs_its_frame_and_is_told_once(tmp_path, caplog):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "1"})  # no frame needs another
        stream.bit_rate = 8_000_000
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in numbered(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    path = damaged(tmp_path / "a.avi", at=30, count=2)
    file = VideoFile(path)
    numbers = [number_of(frame) for frame in file]
    assert numbers == [*range(30), *range(32, 60)]
    assert len(file) == 58
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 2 of 60 frames are damaged or missing and left out."
    ]
    np.testing.assert_allclose(file.times, np.array(numbers) / 25, atol=1e-6)


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4"])
def test_a_truncated_file_is_refused_by_the_share_that_is_lost(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (100, *SIZE, 3), np.uint8)
    if suffix == "mp4":  # its index comes first, so that half of the file can be read
        copied(write_video(tmp_path / "whole.mp4", noise), path, options={"movflags": "faststart"})
    else:
        write_video(path, noise)
    truncate(path)
    for act in (lambda: list(VideoFile(path)), lambda: len(VideoFile(path))):
        with pytest.raises(VadError) as caught:
            act()
        sentence = str(caught.value)
        assert sentence.startswith(f"{path} is truncated or damaged: ")
        assert sentence.endswith(
            " %) cannot be decoded, at most 5 % may be lost; copy it again from its source, or allow more with "
            "max_lost (--max-lost)."
        )
        lost, total = map(int, re.search(r": (\d+) of (\d+) frames \(", sentence).groups())
        assert 40 <= lost <= 60
        assert total == pytest.approx(100, abs=2)
    allowed = VideoFile(path, max_lost=0.7)
    assert 40 <= len(list(allowed)) <= 60


def test_a_name_with_colons_is_a_file(tmp_path, monkeypatch):
    write_video(tmp_path / "2024-05-01T12:30:05.mp4", numbered(5), codec="libx264")
    monkeypatch.chdir(tmp_path)
    assert len(open_video("2024-05-01T12:30:05.mp4").frames) == 5
