import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_vad.data import Clip, FrameCache, Video, open_video
from keras_vad.data import cache as cache_module
from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_frames
from tests.data.media import colour_frames, file_size_limit, gray_frames, truncate, write_images, write_video


@pytest.fixture
def cache(tmp_path):
    return FrameCache(tmp_path / "cache")


def files(cache: FrameCache) -> list[str]:
    return sorted(path.suffix for path in cache.root.iterdir())


@pytest.mark.parametrize("frames", [gray_frames(70), colour_frames(70)], ids=["gray", "colour"])
@pytest.mark.parametrize("size", [(24, 36), (16, 20), (40, 50)])
def test_keeps_every_frame_as_the_one_resize_gives_it(cache, frames, size):
    rgb = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    expected = resize_frames(rgb, size).numpy()
    for _ in range(2):  # written, then found
        cached = cache.get(open_video(frames, "street"), size)
        assert (cached.name, cached.size, len(cached), cached.fps) == ("street", size, 70, None)
        assert cached.channels == (1 if frames.ndim == 3 else 3)
        np.testing.assert_array_equal(cached.read(0, 70), expected)
        np.testing.assert_array_equal(list(cached), expected)
        np.testing.assert_array_equal(cached.read(5, 4, step=3), expected[5:15:3])
    assert files(cache) == [".npy"]
    np.testing.assert_array_equal(np.load(cached.path).reshape(70, *size, -1), expected[..., : cached.channels])


@pytest.mark.parametrize("first_colour", [0, 1, 64, 69])
def test_frames_are_stored_in_colour_from_the_first_if_one_is_coloured(cache, first_colour):
    frames = np.repeat(gray_frames(70)[..., None], 3, axis=-1)
    frames[first_colour, 3, 4] = (10, 20, 30)
    cached = cache.get(open_video(frames), (24, 36))
    assert cached.channels == 3
    np.testing.assert_array_equal(cached.read(0, 70), frames)


def test_equal_content_is_kept_once(cache, tmp_path):
    frames = gray_frames(5)
    write_images(tmp_path / "a", frames)
    write_images(tmp_path / "b", frames)
    a, b = (cache.get(open_video(tmp_path / name), (16, 20)) for name in "ab")
    assert a.path == b.path
    assert (a.name, b.name) == ("a", "b")
    assert cache.get(open_video(tmp_path / "a"), (16, 16)).path != a.path


def test_a_clip_is_a_part_of_the_kept_video(cache):
    frames = gray_frames(30)
    whole = open_video(frames, "street")
    clip = Clip(Clip(whole.frames, 5, 25), 2, 12)
    cached = cache.get(Video("end of the street", clip), (24, 36))
    assert cached.path == cache.get(whole, (24, 36)).path
    assert (cached.name, len(cached)) == ("end of the street", 10)
    np.testing.assert_array_equal(list(cached), np.repeat(frames[7:17, ..., None], 3, -1))
    with pytest.raises(IndexError):
        cached.read(8, 3)


def test_frames_outside_the_video(cache):
    cached = cache.get(open_video(gray_frames(5)), (24, 36))
    for arguments in ((-1, 2), (4, 2), (0, 3, 3)):
        with pytest.raises(IndexError):
            cached.read(*arguments)


def test_the_environment_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "there"))
    assert FrameCache().root == tmp_path / "there"
    monkeypatch.delenv("KERAS_VAD_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FrameCache().root == tmp_path / ".cache" / "keras_vad" / "frames"


def test_what_a_killed_process_left_is_taken_over(cache):
    video = open_video(gray_frames(5))
    path = cache.get(video, (24, 36)).path
    path.rename(path.with_suffix(".partial"))
    truncate(path.with_suffix(".partial"), 0.7)
    assert len(cache.get(video, (24, 36))) == 5
    assert files(cache) == [".npy"]


def test_two_at_once_write_one_file(cache, monkeypatch):
    # flock speaks of open files, not of processes: threads that open the file themselves exclude each other as well.
    write, writes, barrier = cache_module._write_frames, [], threading.Barrier(4)

    def slow_write(*args):
        writes.append(args)
        time.sleep(0.05)
        write(*args)

    def get(_):
        barrier.wait()
        return cache.get(open_video(gray_frames(40)), (24, 36)).read(0, 40)

    monkeypatch.setattr(cache_module, "_write_frames", slow_write)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(get, range(4)))
    assert len(writes) == 1
    for answer in answers:
        np.testing.assert_array_equal(answer[..., 0], gray_frames(40))
    assert files(cache) == [".npy"]


def test_a_full_disk_leaves_nothing_behind(cache):
    with file_size_limit(10_000), pytest.raises(VadError) as caught:
        cache.get(open_video(gray_frames(50), "street"), (24, 36))
    assert str(caught.value) == (
        f"the frames of street at 36x24 cannot be kept in {cache.root} (File too large); free some space there, or set "
        "KERAS_VAD_CACHE to another folder that you can write to."
    )
    assert files(cache) == []
    assert len(cache.get(open_video(gray_frames(50), "street"), (24, 36))) == 50


def test_a_full_disk_is_called_so(cache, monkeypatch):
    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_module.os, "pwrite", no_space)
    with pytest.raises(VadError, match="No space left on device"):
        cache.get(open_video(gray_frames(5)), (24, 36))
    assert files(cache) == []


def test_a_root_that_is_a_file(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(VadError, match=r"cannot be kept in .*cache \(File exists\)"):
        FrameCache(tmp_path / "cache").get(open_video(gray_frames(5)), (24, 36))


def test_a_video_that_breaks_off_leaves_nothing_behind(cache, tmp_path):
    rng = np.random.default_rng(0)
    path = truncate(write_video(tmp_path / "a.avi", rng.integers(0, 256, (100, 48, 64, 3), np.uint8)))
    with pytest.raises(VadError, match="is truncated"):
        cache.get(open_video(path), (24, 36))
    assert files(cache) == []


def test_a_cut_off_cache_file_is_named(cache):
    cached = cache.get(open_video(gray_frames(5)), (24, 36))
    truncate(cached.path, 0.6)
    with pytest.raises(VadError) as caught:
        cached.read(0, 5)
    assert str(caught.value) == (
        f"the cached frames {cached.path} are cut off; delete that file, and it will be written again."
    )


def test_times_are_kept_with_the_frames(cache, tmp_path):
    film = open_video(write_video(tmp_path / "a.mp4", colour_frames(20, (48, 64)), codec="libx264"))
    for _ in range(2):  # written, then found
        cached = cache.get(film, (24, 32))
        np.testing.assert_allclose(cached.times, np.arange(20) / 25, atol=1e-3)
    np.testing.assert_allclose(cached.clip(5, 8).times, [0, 0.04, 0.08], atol=1e-3)
    frames = gray_frames(4)
    assert cache.get(open_video(frames), (24, 36)).times is None
    np.testing.assert_array_equal(cache.get(open_video(frames, fps=8), (24, 36)).times, [0, 0.125, 0.25, 0.375])
