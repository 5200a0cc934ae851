"""Frames of video files, cameras and folders of images, for the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_vad_client.errors import VadClientError

SILENT_SECONDS = 30.0  # after which a camera is given up
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


class FrameSource:
    """A video file, a camera or a folder of images, read while it is iterated over, once.

    Iterating yields uint8 (H, W, 3) RGB frames; a gray source yields three equal channels.

    Args:
        name: Path of a video file or of a folder of images (in natural order of their names); or an address that FFmpeg
            opens, such as ``rtsp://camera/stream``.

    Raises:
        VadClientError: If there is nothing to read, or the library that reads it is not installed.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.fps: float | None = None
        path = Path(name)
        self._images = _image_files(path) if path.is_dir() else None
        if self._images is not None:
            _pillow()
            return
        if "://" not in name and not path.exists():
            raise VadClientError(f"{name} does not exist; give a video file, a folder of images or a camera's address.")
        self._container = _open(name)
        stream = self._container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode the frames in order.

        Raises:
            VadClientError: If the source cannot be decoded to its end, or has no frame.
        """
        return self._decode() if self._images is None else (_read_image(path) for path in self._images)

    def _decode(self) -> Iterator[np.ndarray]:
        import av
        from av.video.reformatter import VideoReformatter

        reformatter = VideoReformatter()  # one for all frames: setting it up costs as much as converting a frame
        count = 0
        with self._container as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                for frame in container.decode(stream):
                    yield reformatter.reformat(frame, format="rgb24").to_ndarray()
                    count += 1
            except av.error.ExitError as error:
                raise _silent(self._name, f"after frame {count}") from error
            except av.FFmpegError as error:
                raise VadClientError(
                    f"{self._name} is damaged or was cut off: decoding stops after frame {count} ({error.strerror}); "
                    "copy it again from its source, or look after the camera."
                ) from error


def _open(name: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise VadClientError(
            "video is decoded by PyAV, which is not installed; pip install 'keras-vad-client[video]'."
        ) from error
    try:
        timeout = (SILENT_SECONDS, SILENT_SECONDS) if "://" in name else None
        container = av.open(name, timeout=timeout)
    except av.error.ExitError as error:
        raise _silent(name, "when it was opened") from error
    except (av.FFmpegError, OSError) as error:
        raise VadClientError(
            f"{name} cannot be opened as a video ({error.strerror}); copy it again, or convert it with ffmpeg."
        ) from error
    if not container.streams.video:
        container.close()
        raise VadClientError(f"{name} holds no video stream; give a video file, a folder of images or a camera.")
    return container


def _silent(name: str, when: str) -> VadClientError:
    return VadClientError(
        f"{name} sent nothing for {SILENT_SECONDS:g} s {when}; look after the camera and the network, and start again."
    )


def _image_files(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    wrong = [path for path in paths if path.suffix.lower() not in IMAGE_SUFFIXES]
    if wrong or not paths:
        what = f"{min(wrong)} is no image" if wrong else f"{folder} is empty"
        raise VadClientError(f"{what}, but a folder of frames holds jpg, png, tif or bmp images only; sort it out.")
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Orders ``frame9.png`` before ``frame10.png``."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]


def _read_image(path: Path) -> np.ndarray:
    image_module = _pillow()
    try:
        with image_module.open(path) as image:
            image.load()
            if image.mode.startswith("I;16"):  # 16-bit gray keeps its upper 8 bits
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three on damaged files
        raise VadClientError(
            f"{path} cannot be decoded as an image ({error}); copy it again from its source."
        ) from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise VadClientError(
            "images are read by Pillow, which is not installed; pip install 'keras-vad-client[images]'."
        ) from error
    return Image
