"""Frames of video files, cameras and folders of images, for the command line."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_vad_client.decoding import (
    MOST_LOST,
    Promise,
    display_matrix,
    has_clock,
    nominal_rate,
    packets_of,
    times_increase,
    upright,
)
from keras_vad_client.errors import VadClientError

SILENT_SECONDS = 30.0  # after which a camera is given up
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


class FrameSource:
    """A video file, a camera or a folder of images, read while it is iterated over, once.

    Iterating yields uint8 (H, W, 3) RGB frames, upright; a gray source yields three equal channels. What is damaged
    costs its frames, not the rest.

    Args:
        name: Path of a video file or of a folder of images (in natural order of their names); or an address that FFmpeg
            opens, such as ``rtsp://camera/stream``.
        fps: Frames a second, for sources without a clock; others keep their own.
        max_lost: Share of a file's frames, in [0, 1], that may be damaged or missing.
        say: Called with a sentence about frames that are left out.

    Attributes:
        live: Whether it is an address.
        lost: Frames that are damaged or missing so far, as far as that can be told.

    Raises:
        VadClientError: If there is nothing to read, or the library that reads it is not installed.
    """

    def __init__(
        self,
        name: str,
        fps: float | None = None,
        max_lost: float = MOST_LOST,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        if fps is not None and not fps > 0:
            raise VadClientError(f"frame rate is {fps}, but must be above 0.")
        self._name = name
        self._shown = masked(name)
        self._max_lost = max_lost
        self._say = say
        self._given_fps = fps
        self._times: dict[int, float] = {}
        self.lost = 0
        self.live = "://" in name
        self.fps = fps
        path = Path(name)
        self._images = _image_files(path, say) if path.is_dir() else None
        if self._images is not None:
            _pillow()
            return
        if not self.live and not path.exists():
            raise VadClientError(f"{name} does not exist; give a video file, a folder of images or a camera's address.")
        self._container = _open(name, self.live)
        self.fps = nominal_rate(self._container) or fps

    def time_of(self, frame: int) -> float | None:
        """Seconds from the first frame to a frame that was read; ``None`` if the source has no clock.

        Of a camera without one it is the time of arrival. Ask in order: what is before the frame is forgotten.
        """
        time_s = self._times.get(frame)
        for known in list(self._times):  # in order
            if known > frame:
                break
            del self._times[known]
        return time_s

    def __iter__(self) -> Iterator[np.ndarray]:
        """Decode the frames in order.

        Raises:
            VadClientError: If a camera falls silent, too much of a file is damaged or missing, or there is no frame.
        """
        return self._decode() if self._images is None else self._read_images(self._images)

    def _read_images(self, paths: list[Path]) -> Iterator[np.ndarray]:
        for number, path in enumerate(paths):
            if self._given_fps is not None:
                self._times[number] = number / self._given_fps
            yield _read_image(path)

    def _decode(self) -> Iterator[np.ndarray]:
        import av
        from av.video.reformatter import VideoReformatter

        reformatter = VideoReformatter()  # one for all frames: setting it up costs as much as converting a frame
        count, unread, last = 0, 0, None
        timed = has_clock(self._container) and times_increase(self._container)
        clock = _Clock(timed, nominal_rate(self._container), self._given_fps, self.live)
        with self._container as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            promised = Promise(container, stream)
            try:
                for packet in packets_of(container, stream):
                    if packet is None:
                        unread += 1
                        continue
                    # What cannot be read at the end of a container is often just its last bytes.
                    self.lost, unread = self.lost + (unread if packet.size else 0), 0
                    try:
                        frames = packet.decode()
                    except av.error.ExitError:
                        raise
                    except av.FFmpegError:
                        self.lost += 1
                        continue
                    for frame in frames:
                        time_s = clock.of(count, frame.time)
                        if time_s is not None:
                            self._times[count] = time_s
                        count, last = count + 1, frame.time
                        image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                        yield upright(image, display_matrix(frame))
            except av.error.ExitError as error:
                raise _silent(self._shown, f"after frame {count}") from error
        if count == 0:
            raise VadClientError(f"{self._shown} holds no frames; copy it again, or look after the camera.")
        if not self.live:
            self._check(count, promised.missing(count, last))

    def _check(self, count: int, missing: int) -> None:
        self.lost = max(self.lost, missing)
        share = self.lost / (count + self.lost)
        if share > self._max_lost:
            raise VadClientError(
                f"{self._shown} is truncated or damaged: {self.lost} of {count + self.lost} frames "
                f"({100 * share:.0f} %) cannot be decoded, at most {100 * self._max_lost:g} % may be lost; copy it "
                "again from its source, or allow more with max_lost (--max-lost)."
            )
        if self.lost:
            self._say(f"{self._shown}: {self.lost} of {count + self.lost} frames are damaged or missing and left out.")


class _Clock:
    """Seconds from the first frame: timestamps; else the nominal rate, a given one, or of a camera the arrival."""

    def __init__(self, has_clock: bool, nominal: float | None, given: float | None, live: bool) -> None:
        self._has_clock = has_clock
        self._rate = nominal or given
        self._live = live
        self._started: float | None = None
        self._last = -1.0

    def of(self, frame: int, timestamp: float | None) -> float | None:
        if self._has_clock and timestamp is not None:
            self._started = timestamp if self._started is None else self._started
            time_s = timestamp - self._started
            if time_s > self._last:
                self._last = time_s
                return time_s
            self._has_clock = False  # from here on by the rate
        if self._rate is not None:
            return frame / self._rate
        if not self._live:
            return None
        now = time.monotonic()
        self._started = now if self._started is None else self._started
        return now - self._started


def masked(name: str) -> str:
    """An address without what gives access: password, and the values of its query.

    Example:
    >>> masked("rtsp://operator:PW@host/s?token=abc&channel=1")
    'rtsp://operator:***@host/s?token=***&channel=***'
    """
    if "://" not in name:
        return name
    parts = urllib.parse.urlsplit(name)
    user, at, host = parts.netloc.rpartition("@")
    user = f"{user.partition(':')[0]}:***" if ":" in user else user
    query = re.sub(r"=[^&]*", "=***", parts.query)
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}{at}{host}", query=query))


def _open(name: str, live: bool) -> Any:
    shown = masked(name)
    try:
        import av
    except ImportError as error:
        raise VadClientError(
            "video is decoded by PyAV, which is not installed; pip install 'keras-vad-client[video]'."
        ) from error
    try:
        # "file:" keeps FFmpeg from taking the colons of a name like 12:30:05.mp4 for a protocol.
        container = av.open(name, timeout=(SILENT_SECONDS, SILENT_SECONDS)) if live else av.open(f"file:{name}")
    except av.error.ExitError as error:
        raise _silent(shown, "when it was opened") from error
    except (av.FFmpegError, OSError) as error:
        raise VadClientError(
            f"{shown} cannot be opened as a video ({error.strerror}); copy it again, or convert it with ffmpeg."
        ) from error
    if not container.streams.video:
        container.close()
        raise VadClientError(f"{shown} holds no video stream; give a video file, a folder of images or a camera.")
    return container


def _silent(name: str, when: str) -> VadClientError:
    return VadClientError(
        f"{name} sent nothing for {SILENT_SECONDS:g} s {when}; look after the camera and the network, and start again."
    )


def _image_files(folder: Path, say: Callable[[str], None]) -> list[Path]:
    paths = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_natural_key)
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    others = [path.name for path in paths if path.suffix.lower() not in IMAGE_SUFFIXES]
    if not images:
        found = f"holds no images but {others[0]}" if others else "is empty"
        raise VadClientError(f"{folder} {found}; a video needs frames: put its images (jpg, png, tif or bmp) there.")
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        say(f"{folder}: files that are no images are left out: {', '.join(others[:3])}{more}.")
    return images


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
