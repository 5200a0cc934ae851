"""Videos as lazily decoded frames, whatever they are stored in."""

import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from keras_vad.data.decoding import MOST_LOST, Decoding, nominal_rate, open_container
from keras_vad.errors import UndecodableError, VadError

logger = logging.getLogger("keras_vad")

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {
        *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"),
        *(".3gp", ".flv", ".m2ts", ".mts"),
        *(".264", ".265", ".h264", ".h265", ".hevc", ".mjpeg"),  # streams without times, as some recorders write
    }
)

_IMAGES = "jpg, png, tif or bmp"
_DESKTOP_FILES = frozenset({"thumbs.db", "desktop.ini"})


class FrameSource(Protocol):
    """Frames of one video, decoded while they are iterated over.

    Iterating yields uint8 (H, W, 3) RGB frames, values 0 to 255, all of one size; a gray source yields three equal
    channels. Every iteration starts again at the first frame.
    """

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame in pixels."""

    @property
    def times(self) -> np.ndarray | None:
        """Seconds from the first frame to each frame, float64 (n,), increasing; ``None`` without a clock."""

    def __len__(self) -> int:
        """The exact number of frames; a video file is decoded once to count them."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode the frames in order."""

    def content_key(self) -> str:
        """A hash of the stored bytes: equal for equal content, wherever it lies."""


@dataclass(frozen=True)
class Video:
    """A named video.

    Args:
        name: Unique within its data set and split.
        frames: Its frames.
        fps: Frames a second, on average; ``None`` where unknown (a folder of images).
    """

    name: str
    frames: FrameSource
    fps: float | None = None

    @property
    def times(self) -> np.ndarray | None:
        """Seconds from the first frame to each, float64 (n,), increasing: its timestamps, or frame number by ``fps``.

        ``None`` where there is neither.
        """
        times = self.frames.times
        if times is None and self.fps is not None:
            return np.arange(len(self.frames)) / self.fps
        return times


@dataclass(frozen=True)
class Labels:
    """Ground truth of one test video with n frames.

    Args:
        frame: bool (n,), true where the frame is anomalous.
        mask: Gives the bool (H, W) pixel mask of a frame number at the source's size; ``None`` where there are none.
    """

    frame: np.ndarray
    mask: Callable[[int], np.ndarray] | None = None


def open_video(
    source: "str | os.PathLike[str] | np.ndarray | Video",
    name: str | None = None,
    *,
    fps: float | None = None,
    max_lost: float = MOST_LOST,
) -> Video:
    """Open a video file, a folder of frames or an array.

    Args:
        source: Path of a video file or of a folder of images; or uint8 (n, H, W, 3) RGB or (n, H, W) gray; a ``Video``
            is returned as it is.
        name: Name of the video; by default the file's or folder's name, ``"array"`` for an array.
        fps: Frames a second, for sources that have no clock; others keep their own.
        max_lost: Share of a file's frames, in [0, 1], that may be damaged or missing.

    Raises:
        VadError: If there is nothing to read, or a number is out of its range.

    Example:
    >>> video = open_video(np.zeros((20, 48, 64, 3), np.uint8))
    >>> video.name, len(video.frames), video.frames.size
    ('array', 20, (48, 64))
    """
    if fps is not None and not 0 < fps < math.inf:
        raise VadError(f"fps is {fps:g}, but must be above 0 frames a second.")
    if not 0 <= max_lost <= 1:
        raise VadError(f"max_lost is {max_lost:g}, but must be a share between 0 and 1.")
    if isinstance(source, Video):
        return source
    if isinstance(source, np.ndarray):
        return Video(name or "array", ArrayFrames(source), fps)
    path = Path(source)
    if path.is_dir():
        return Video(name or path.resolve().name, FrameFolder(path), fps)
    file = VideoFile(path, max_lost)
    return Video(name or video_name(path), file, file.fps or fps)


def video_name(path: Path) -> str:
    """The name of the video at ``path``: the folder's, or the file's without its suffix."""
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that orders ``frame9.png`` before ``frame10.png``."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]


def visible(folder: Path) -> list[Path]:
    """Files and folders in natural order, without hidden ones and what desktops leave behind.

    Archives made on macOS hold ``._001.tif`` beside ``001.tif``; the UCSD one does.
    """
    found = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name.lower() not in _DESKTOP_FILES]
    return sorted(found, key=natural_key)


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder of frames in natural order, and the other files in it.

    Raises:
        VadError: If the folder is missing, or holds no images or folders.
    """
    if not folder.is_dir():
        raise VadError(f"{folder} is not a folder; give a folder of frames ({_IMAGES}).")
    paths = visible(folder)
    for path in paths:
        if path.is_dir():
            raise VadError(f"{path} is a folder, but a folder of frames holds {_IMAGES} only; give one of its folders.")
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    others = [path for path in paths if path.suffix.lower() not in IMAGE_SUFFIXES]
    if not images:
        found = f"holds no images but {_listed(others)}" if others else "is empty"
        raise VadError(f"{folder} {found}; a video needs frames: put its images ({_IMAGES}) there.")
    return images, others


def _listed(paths: Sequence[Path], most: int = 3) -> str:
    shown = ", ".join(path.name for path in paths[:most])
    return shown if len(paths) <= most else f"{shown} and {len(paths) - most} more"


def read_image(path: Path) -> np.ndarray:
    """Decode one image.

    Returns:
        uint8, (H, W) if the file is gray, (H, W, 3) RGB if it is coloured; 16-bit gray keeps its upper 8 bits.

    Raises:
        VadError: If the file is no image, truncated, or has pixels of another kind.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode.startswith("I;16"):
                return (np.asarray(image) >> 8).astype(np.uint8)
            if image.mode in ("1", "L", "LA"):
                return np.asarray(image.convert("L"))
            if image.mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr"):
                return np.asarray(image.convert("RGB"))
            mode = image.mode
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three on damaged files.
        raise UndecodableError(
            f"{path} cannot be decoded as an image ({error}); copy it again from its source."
        ) from error
    raise VadError(f"{path} has pixels of mode {mode}, but 8-bit gray or RGB is expected; convert it.")


class FrameFolder:
    """A folder of images, one a frame, in natural order of their names.

    Args:
        path: The folder; hidden files in it are ignored. Other files that are no images are left out and told, to the
            logger ``keras_vad``.

    Raises:
        VadError: If the folder is missing, or holds no images or folders.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.paths, others = image_files(self.path)
        if others:
            logger.warning("%s: files that are no images are left out: %s.", self.path, _listed(others))

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame in pixels."""
        height, width = read_image(self.paths[0]).shape[:2]
        return height, width

    @property
    def times(self) -> None:
        """Images have no clock."""

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode the images in order.

        Raises:
            VadError: If an image cannot be decoded, or differs from the first in size or in being gray or coloured.
        """
        first: np.ndarray | None = None
        for path in self.paths:
            image = read_image(path)
            if first is None:
                first = image
            if image.shape[:2] != first.shape[:2]:
                raise UndecodableError(
                    f"{path} is {_size(image)}, but {self.paths[0].name} in the same folder is {_size(first)}; "
                    "the frames of one video must have one size: resize them or sort them into folders."
                )
            if image.ndim != first.ndim:
                kinds = {2: "gray", 3: "coloured"}
                raise UndecodableError(
                    f"{path} is {kinds[image.ndim]}, but {self.paths[0].name} in the same folder is "
                    f"{kinds[first.ndim]}; the frames of one video must be of one kind: convert them."
                )
            yield image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)

    def content_key(self) -> str:
        """A hash of the images' bytes in order."""
        return self._content_key

    @cached_property
    def _content_key(self) -> str:
        digest = hashlib.sha256(b"frames")
        for path in self.paths:
            digest.update(_file_hash(path))
        return digest.hexdigest()


class VideoFile:
    """A video file, decoded with FFmpeg (PyAV): turned upright, without what an edit list hides.

    A few damaged or missing frames are left out and told, once, to the logger ``keras_vad``.

    Args:
        path: The file.
        max_lost: Share of its frames, in [0, 1], that may be damaged or missing.

    Raises:
        VadError: If the file is missing, empty, or holds no video that can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], max_lost: float = MOST_LOST) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise VadError(f"{self.path} does not exist; give a video file or a folder of frames.")
        if self.path.suffix.lower() in IMAGE_SUFFIXES:
            raise VadError(f"{self.path} is a single image, but a video is expected; give the folder it lies in.")
        self.max_lost = max_lost
        self._passed: Decoding | None = None
        with open_container(self.path) as container:
            self.fps = nominal_rate(container)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame in pixels."""
        return next(iter(self)).shape[:2]  # what is decoded counts, not what the header says

    @property
    def times(self) -> np.ndarray | None:
        """Seconds from the first frame to each frame, float64 (n,); ``None`` where the file has no clock."""
        return self._whole_pass().times

    def __len__(self) -> int:
        return self._whole_pass().count

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode the frames in order.

        Raises:
            VadError: If too much of the file is damaged or missing, or the frame size changes on the way.
        """
        decoding = Decoding(self.path, self.max_lost)
        size: tuple[int, int] | None = None
        for number, image in enumerate(decoding.images(), start=1):
            if size is None:
                size = image.shape[:2]
            if image.shape[:2] != size:
                raise UndecodableError(
                    f"frame {number} of {self.path} is {_size(image)}, but its first frame is {size[1]}x{size[0]}; "
                    "the frames of one video must have one size: encode it again."
                )
            yield image
        self._keep(decoding)

    def _whole_pass(self) -> Decoding:
        if self._passed is None:
            decoding = Decoding(self.path, self.max_lost)
            for _ in decoding.frames():
                pass
            self._keep(decoding)
        assert self._passed is not None
        return self._passed

    def _keep(self, decoding: Decoding) -> None:
        if self._passed is None and decoding.lost:
            logger.warning(
                "%s: %d of %d frames are damaged or missing and left out.",
                self.path,
                decoding.lost,
                decoding.count + decoding.lost,
            )
        self._passed = decoding

    def content_key(self) -> str:
        """A hash of the file's bytes."""
        return self._content_key

    @cached_property
    def _content_key(self) -> str:
        return hashlib.sha256(b"file" + _file_hash(self.path)).hexdigest()


class ArrayFrames:
    """Frames that are already in memory.

    Args:
        array: uint8, (n, H, W, 3) RGB or (n, H, W) gray.

    Raises:
        VadError: If the array has another dtype or shape, or no frames.
    """

    def __init__(self, array: np.ndarray) -> None:
        if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)):
            raise VadError(
                f"the array of frames is {array.dtype} {array.shape}, but uint8 (n, height, width, 3) or "
                "(n, height, width) is expected; convert it."
            )
        if 0 in array.shape:
            raise VadError(f"the array of frames is empty (shape {array.shape}); give at least one frame.")
        self.array = array

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame in pixels."""
        return self.array.shape[1], self.array.shape[2]

    @property
    def times(self) -> None:
        """An array has no clock."""

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self.array:
            yield frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)

    def content_key(self) -> str:
        """A hash of shape and values."""
        digest = hashlib.sha256(f"array {self.array.shape}".encode())
        digest.update(np.ascontiguousarray(self.array).data)
        return digest.hexdigest()


class Clip:
    """Frames ``start`` up to, but not including, ``stop`` of another source.

    Raises:
        VadError: If that range is empty or reaches beyond the source.
    """

    def __init__(self, source: FrameSource, start: int, stop: int) -> None:
        if not 0 <= start < stop <= len(source):
            raise VadError(
                f"frames {start} to {stop} cannot be cut from {len(source)} frames; choose 0 <= start < stop <= length."
            )
        self.source = source
        self.start = start
        self.stop = stop

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame in pixels."""
        return self.source.size

    @property
    def times(self) -> np.ndarray | None:
        """Seconds from the first frame of the clip to each; ``None`` if the source has no clock."""
        times = self.source.times
        return None if times is None else times[self.start : self.stop] - times[self.start]

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[np.ndarray]:
        return islice(iter(self.source), self.start, self.stop)

    def content_key(self) -> str:
        """A hash of the source's content and the range."""
        return hashlib.sha256(f"clip {self.source.content_key()} {self.start} {self.stop}".encode()).hexdigest()


def _file_hash(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise VadError(f"{path} cannot be read ({error.strerror}); make it readable or copy it again.") from error
    return digest.digest()


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
