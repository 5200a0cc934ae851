"""The client reads every kind of file as the library does: frames, times, what is lost, what is refused."""

import struct

import numpy as np
import pytest
from keras_vad_client import VadClientError
from keras_vad_client.video import FrameSource, masked

from keras_vad.data import open_video
from keras_vad.errors import VadError
from tests.data.media import colour_frames, gray_frames, truncate, write_images, write_video
from tests.data.test_decoding import SIZE, copied, damaged, numbered, write_timed


def rotated(path):
    content = bytearray(write_video(path, colour_frames(6, SIZE), codec="libx264").read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def trimmed(folder):
    whole = write_timed(folder / "whole.mp4", [40 * n for n in range(50)])
    return copied(whole, folder / "trim.mp4", first=30, options={"avoid_negative_ts": "disabled"})


def noise(path, count=100):
    return write_video(path, np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), np.uint8))


def frames_and_notes(folder):
    write_images(folder / "frames", gray_frames(4))
    (folder / "frames" / "notes.txt").write_text("which camera was it?")
    return folder / "frames"


FILES = {
    "varying rate": lambda folder: write_timed(folder / "a.mp4", [0, 40, 80, 500, 1200, 1240]),
    "late start": lambda folder: write_timed(folder / "a.ts", [5000 + 40 * n for n in range(8)]),
    "longer sound": lambda folder: write_timed(folder / "a.mkv", [40 * n for n in range(10)], audio_seconds=3.0),
    "time lapse": lambda folder: write_timed(folder / "a.mkv", [4000 * n for n in range(6)]),
    "edit list": trimmed,
    "turned": lambda folder: rotated(folder / "a.mp4"),
    "AVI with B-frames": lambda folder: write_video(folder / "a.avi", colour_frames(30, SIZE), codec="libx264"),
    "raw stream": lambda folder: write_video(folder / "a.h264", numbered(10), codec="libx264"),
    "a damaged packet": lambda folder: damaged(noise(folder / "a.avi"), at=0, count=1),
    "truncated AVI": lambda folder: truncate(noise(folder / "a.avi")),
    "truncated Matroska": lambda folder: truncate(noise(folder / "a.mkv")),
    "frames and notes": frames_and_notes,
    "colons": lambda folder: write_video(folder / "2024-05-01T12:30:05.mp4", numbered(5), codec="libx264"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_client_reads_what_the_library_reads(tmp_path, kind, caplog):
    path = FILES[kind](tmp_path)
    said = []
    try:
        video = open_video(path)
        expected, refused = np.stack(list(video.frames)), None
    except VadError as error:
        refused = str(error)
    source = FrameSource(str(path), say=said.append)
    if refused is not None:
        with pytest.raises(VadClientError) as caught:
            list(source)
        assert str(caught.value) == refused
        return
    found = list(source)
    np.testing.assert_array_equal(found, expected)
    assert source.fps == video.fps
    times = [source.time_of(number) for number in range(len(found))]
    if video.times is None:
        assert times == [None] * len(found)
    else:
        np.testing.assert_allclose(times, video.times, atol=1e-9)
    assert said == [record.getMessage() for record in caplog.records]


def test_a_rate_for_what_has_no_clock(tmp_path):
    write_images(tmp_path / "frames", gray_frames(3))
    source = FrameSource(str(tmp_path / "frames"), fps=8)
    list(source)
    assert [source.time_of(number) for number in range(3)] == [0, 0.125, 0.25]
    assert source.time_of(0) is None  # it was asked for, and is forgotten


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://operator:PW@host/s", "rtsp://operator:***@host/s"),
        ("http://host:8080/video?token=abc&channel=1#x", "http://host:8080/video?token=***&channel=***#x"),
        ("rtsp://operator@host/s", "rtsp://operator@host/s"),
        ("film.mp4", "film.mp4"),
    ],
)
def test_secrets_of_an_address_are_not_shown(address, shown):
    assert masked(address) == shown


def test_an_address_that_refuses_is_named_without_its_password(free_port):
    with pytest.raises(VadClientError) as caught:
        FrameSource(f"http://operator:SECRET@127.0.0.1:{free_port}/video?token=SECRET")
    assert f"http://operator:***@127.0.0.1:{free_port}/video?token=***" in str(caught.value)
    assert "SECRET" not in str(caught.value)
