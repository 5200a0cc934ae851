"""Every video is decoded and resized once, and kept on disk as plain uint8 frames."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import tensorflow as tf
from numpy.lib import format as npy

from keras_vad.common.files import appearing, locked
from keras_vad.data.video import Clip, FrameSource, Video
from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_frames

FORMAT_VERSION = 2
_BATCH_BYTES = 1 << 25  # of frames resized at a time: large frames must not fill the memory


@dataclass(frozen=True)
class CachedFrames:
    """Frames of one video at one size, read from disk when asked for.

    Frames are read with ``pread``, not mapped into memory: mapped pages count as the process's memory, and a run over a
    long video would seem to need all of it.

    Args:
        name: Name of the video.
        fps: Frames a second, ``None`` where unknown.
        path: The .npy file.
        start: First frame in the file.
        length: Number of frames.
        size: (height, width) in pixels.
        channels: Channels in the file: 1 if every frame is gray, else 3.
        offset: Bytes before the first frame of the file.
    """

    name: str
    fps: float | None
    path: Path
    start: int
    length: int
    size: tuple[int, int]
    channels: int
    offset: int
    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.length

    @property
    def times(self) -> np.ndarray | None:
        """Seconds from the first frame to each, float64 (n,); ``None`` if the video has no clock."""
        path = times_path(self.path)
        if not path.exists():
            return None if self.fps is None else np.arange(self.length) / self.fps
        times = np.load(path, allow_pickle=False)[self.start : self.start + self.length]
        return times - times[0]

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Of a frame as it is read: (height, width, 3)."""
        return (*self.size, 3)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames in order, uint8 (H, W, 3)."""
        batch = _batch_size(self.size)
        for start in range(0, self.length, batch):
            yield from self.read(start, min(batch, self.length - start))

    def read(self, start: int, count: int, step: int = 1) -> np.ndarray:
        """Read frames ``start``, ``start + step``, ...

        Args:
            start: Number of the first frame.
            count: Number of frames.
            step: Frames from one to the next.

        Returns:
            uint8, (count, H, W, 3) RGB.

        Raises:
            IndexError: If frames outside the video are asked for.
        """
        out = np.empty((count, *self.size, 3), np.uint8)
        self.read_into(out, start, step)
        return out

    def read_into(self, out: np.ndarray, start: int, step: int = 1) -> None:
        """Read as many frames as ``out`` has: contiguous uint8 (count, H, W, 3)."""
        count = len(out)
        if start < 0 or step < 1 or start + (count - 1) * step >= self.length:
            raise IndexError(f"frames {start} + {step} * [0, {count}) of {self.length}")
        stored = out if self.channels == 3 else np.empty((count, *self.size), np.uint8)
        self._pread(stored, start, step)
        if self.channels == 1:
            # OpenCV repeats the channel 25 times faster than numpy.
            width = self.size[1]
            cv2.cvtColor(stored.reshape(-1, width), cv2.COLOR_GRAY2RGB, dst=out.reshape(-1, width, 3))

    def clip(self, start: int, stop: int) -> "CachedFrames":
        """Frames ``start`` up to, but not including, ``stop``, of the same file."""
        return replace(self, start=self.start + start, length=stop - start)

    def _pread(self, out: np.ndarray, start: int, step: int) -> None:
        frame_bytes = out[0].nbytes
        first = self.offset + (self.start + start) * frame_bytes
        blocks = [(out, first)] if step == 1 else [(out[i], first + i * step * frame_bytes) for i in range(len(out))]
        # Opened for every read: a data set may have more videos than a process may hold files open.
        file = os.open(self.path, os.O_RDONLY)
        try:
            for block, position in blocks:
                read_exactly(file, block.data.cast("B"), position, self.path)
        finally:
            os.close(file)


class FrameCache:
    """A folder of decoded videos, each under a name made of its content, the frame size and the format version.

    Several processes may use it at once: the first one decodes a video, the others wait for it.

    Args:
        root: The folder; by default ``$KERAS_VAD_CACHE``, or ``~/.cache/keras_vad/frames``. It may be deleted at any
            time that no run uses it.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        default = os.environ.get("KERAS_VAD_CACHE") or Path.home() / ".cache" / "keras_vad" / "frames"
        self.root = Path(root or default)

    def get(self, video: Video, size: tuple[int, int]) -> CachedFrames:
        """The frames of a video at a size; decodes them if they are not there yet.

        Args:
            video: The video.
            size: (height, width) wanted, in pixels.

        Raises:
            VadError: If the video cannot be decoded or the cache cannot be written; nothing is left behind then.
        """
        frames = video.frames
        if isinstance(frames, Clip):
            whole = self.get(replace(video, frames=frames.source), size)
            return whole.clip(frames.start, frames.stop)
        height, width = size
        path = self.root / f"{frames.content_key()}-{height}x{width}-v{FORMAT_VERSION}.npy"
        if not path.exists():
            self._write(video, size, path)
        return _open(path, video)

    def _write(self, video: Video, size: tuple[int, int], path: Path) -> None:
        partial = path.with_suffix(".partial")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(partial) as file:
                os.ftruncate(file, 0)  # a killed process may have left it
                if path.exists():  # Another process wrote it while this one waited for the lock.
                    partial.unlink(missing_ok=True)
                    return
                try:
                    _write_frames(file, _resized(video.frames, size), size)
                    os.fsync(file)
                    times = video.frames.times
                    if times is not None:
                        with appearing(times_path(path)) as beside:
                            np.save(beside, times)
                    partial.replace(path)
                except BaseException:
                    partial.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise VadError(
                f"the frames of {video.name} at {size[1]}x{size[0]} cannot be kept in {self.root} ({error.strerror}); "
                "free some space there, or set KERAS_VAD_CACHE to another folder that you can write to."
            ) from error


def times_path(path: Path) -> Path:
    """Where the times of cached frames lie."""
    return path.with_name(f"{path.stem}-times.npy")


def _batch_size(size: tuple[int, int]) -> int:
    return min(64, max(1, _BATCH_BYTES // (size[0] * size[1] * 3)))


def _resized(frames: FrameSource, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Batches of frames at the size wanted: uint8 (n, H, W), if all frames of the batch are gray, or (n, H, W, 3)."""
    iterator = iter(frames)
    batch_size = _batch_size(frames.size)
    while batch := list(islice(iterator, batch_size)):
        images = np.stack(batch)
        gray = np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(images[..., 0], images[..., 2])
        with tf.device("CPU:0"):  # The same pixels, whatever the machine has.
            resized = resize_frames(images[..., :1] if gray else images, size).numpy()
        yield resized[..., 0] if gray else resized


def _write_frames(file: int, batches: Iterable[np.ndarray], size: tuple[int, int]) -> None:
    """Write a .npy file of shape (n, H, W) as long as all frames are gray, else (n, H, W, 3)."""
    n_frames, offset, channels = 0, 0, 1
    for batch in batches:
        if n_frames == 0:
            channels = 1 if batch.ndim == 3 else 3
            offset = _write_header(file, 0, size, channels)
        elif channels == 1 and batch.ndim == 4:
            _expand(file, offset, n_frames, size)
            channels = 3
        if channels == 3 and batch.ndim == 3:
            batch = np.repeat(batch[..., None], 3, axis=-1)
        frame_bytes = size[0] * size[1] * channels
        _pwrite(file, np.ascontiguousarray(batch), offset + n_frames * frame_bytes)
        n_frames += len(batch)
    _write_header(file, n_frames, size, channels)


def _expand(file: int, offset: int, n_frames: int, size: tuple[int, int]) -> None:
    """Turn the gray frames written so far into RGB, from the last to the first, so that none is overwritten unread."""
    frame = np.empty(size, np.uint8)
    for index in reversed(range(n_frames)):
        os.preadv(file, [frame.data.cast("B")], offset + index * frame.nbytes)
        _pwrite(file, np.repeat(frame[..., None], 3, axis=-1), offset + index * 3 * frame.nbytes)


def _write_header(file: int, n_frames: int, size: tuple[int, int], channels: int) -> int:
    """Write the .npy header and return its length, which does not depend on ``n_frames``: numpy pads for growth."""
    shape = (n_frames, *size) if channels == 1 else (n_frames, *size, channels)
    with tempfile.SpooledTemporaryFile() as header:
        npy.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        header.seek(0)
        data = header.read()
    _pwrite(file, np.frombuffer(data, np.uint8), 0)
    return len(data)


def _open(path: Path, video: Video) -> CachedFrames:
    with path.open("rb") as file:
        npy.read_magic(file)
        shape, _, _ = npy.read_array_header_1_0(file)
        offset = file.tell()
    return CachedFrames(
        name=video.name,
        fps=video.fps,
        path=path,
        start=0,
        length=shape[0],
        size=(shape[1], shape[2]),
        channels=1 if len(shape) == 3 else 3,
        offset=offset,
    )


def _pwrite(file: int, array: np.ndarray, position: int) -> None:
    view = array.data.cast("B")
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written


def read_exactly(file: int, view: memoryview, position: int, path: Path) -> None:
    """Fill ``view`` with the bytes of a file from ``position`` on.

    Raises:
        VadError: If the file ends before.
    """
    while view:
        count = os.preadv(file, [view], position)
        if count == 0:
            raise VadError(f"the cached frames {path} are cut off; delete that file, and it will be written again.")
        view, position = view[count:], position + count
