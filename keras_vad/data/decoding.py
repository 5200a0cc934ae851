"""Frames of a video file as FFmpeg would show them, with their times, and what of the file is lost.

A container says more about its frames than their pixels: when each is shown, which are hidden (edit lists), which way
is up. What it says of its length is only believed of the video track itself, to tell whether something is missing.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from keras_vad.errors import UndecodableError, VadError

MOST_LOST = 0.05  # share of a file's frames that may be damaged or missing before it is refused

_ERRORS_IN_A_ROW = 1000  # of a container: whoever cannot find its way back after so many does not


def open_container(path: str | os.PathLike[str]) -> "av.container.InputContainer":
    """Open a video file.

    Raises:
        VadError: If it cannot be opened, or holds no video.
    """
    path = Path(path)
    if path.stat().st_size == 0:
        raise VadError(f"{path} is empty (0 bytes), but a video is expected; copy it again from its source.")
    try:
        # "file:" keeps FFmpeg from taking the colons of a name like 12:30:05.mp4 for a protocol.
        container = av.open(f"file:{path}")
    except (av.FFmpegError, OSError) as error:
        raise VadError(
            f"{path} cannot be opened as a video ({error.strerror}); it may be truncated or of another type: "
            "copy it again or convert it with ffmpeg."
        ) from error
    if not container.streams.video:
        container.close()
        raise VadError(f"{path} holds no video stream; give a video file or a folder of frames.")
    return container


class Decoding:
    """One pass over a video file.

    Args:
        path: The file.
        most_lost: Share of its frames, in [0, 1], that may be damaged or missing.

    Attributes:
        times: Seconds from the first frame to each frame so far, increasing; ``None`` where the file has no clock (raw
            streams). Where they do not increase they follow from the nominal rate.
        count: Frames so far.
        lost: Once the pass is through, how many frames are damaged or missing, as far as that can be told.
    """

    def __init__(self, path: Path, most_lost: float = MOST_LOST) -> None:
        self.path = path
        self.lost = 0
        self._most_lost = most_lost
        self._times: list[float] = []
        self.count = 0
        self._has_clock = self._increasing = True
        self._rate: float | None = None

    @property
    def times(self) -> np.ndarray | None:
        """See the class; float64 (n,)."""
        if not self._has_clock or not self.count:
            return None
        if self._increasing:
            return np.array(self._times) - self._times[0]
        return None if self._rate is None else np.arange(self.count) / self._rate

    def images(self) -> Iterator[np.ndarray]:
        """The frames as they are shown, uint8 (H, W, 3) RGB, in order.

        Raises:
            VadError: If too much of the file is damaged or missing, or it holds no frame.
        """
        reformatter = VideoReformatter()  # one for all frames: setting it up costs as much as converting a frame
        for frame in self.frames():
            yield upright(reformatter.reformat(frame, format="rgb24").to_ndarray(), display_matrix(frame))

    def frames(self) -> Iterator["av.VideoFrame"]:
        """The frames as they are stored, which takes less time; see ``images``."""
        damaged, unread, last = 0, 0, None
        with open_container(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            self._has_clock, self._rate = has_clock(container), nominal_rate(container)
            self._increasing = times_increase(container)
            promised = _Promise(container, stream)
            for packet in _packets(container, stream):
                if packet is None:
                    unread += 1
                    continue
                # What cannot be read at the end of a container is often just its last bytes.
                damaged, unread = damaged + (unread if packet.size else 0), 0
                try:
                    decoded = packet.decode()
                except av.FFmpegError:
                    damaged += 1
                    continue
                for frame in decoded:
                    self.count += 1
                    last = self._note(frame.time)
                    yield frame
        count = self.count
        if count == 0:
            raise UndecodableError(f"{self.path} holds no frames; copy it again from its source.")
        self.lost = max(damaged, promised.missing(count, last))
        share = self.lost / (count + self.lost)
        if share > self._most_lost:
            raise UndecodableError(
                f"{self.path} is truncated or damaged: {self.lost} of {count + self.lost} frames "
                f"({100 * share:.0f} %) cannot be decoded, at most {100 * self._most_lost:g} % may be lost; copy it "
                "again from its source, or allow more with max_lost (--max-lost)."
            )

    def _note(self, time: float | None) -> float | None:
        if time is None or (self._times and time <= self._times[-1]):
            self._increasing = False
        else:
            self._times.append(time)
        return time


def has_clock(container: "av.container.InputContainer") -> bool:
    """Whether frames come with times; those of raw streams and multipart JPEG are FFmpeg's guess."""
    flags: Any = container.format.flags
    return not flags & av.format.Flags.no_timestamps.value


def times_increase(container: "av.container.InputContainer") -> bool:
    """Whether frames' times can be relied on; AVI numbers packets, which are in another order with B-frames."""
    return not ("avi" in container.format.name and container.streams.video[0].codec_context.has_b_frames)


def nominal_rate(container: "av.container.InputContainer") -> float | None:
    """Frames a second by the container's word; ``None`` without a clock."""
    stream = container.streams.video[0]
    # AVI counts two packets for each frame with B-frames: there the base rate is right and the mean is not.
    rates = stream.average_rate, stream.guessed_rate
    rate = rates[1] if "avi" in container.format.name else rates[0]
    rate = rate or rates[0] or rates[1]
    return float(rate) if rate and has_clock(container) else None


class _Promise:
    """How many frames, or how many seconds, the container promises of its video track, if it does."""

    def __init__(self, container: "av.container.InputContainer", stream: "av.video.stream.VideoStream") -> None:
        self._frames: int | None = None
        self._seconds: float | None = None
        self._rate = float(stream.average_rate or stream.guessed_rate or 0)
        name = container.format.name
        if "mov" in name:
            # The index has an entry a frame; those that an edit list hides are marked.
            self._frames = sum(not entry.is_discard for entry in stream.index_entries)
        elif "matroska" in name:
            track = stream.metadata.get("DURATION")
            alone = len(container.streams) == 1
            if track is not None:
                hours, minutes, seconds = track.split(":")
                self._seconds = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
            elif alone and container.duration:  # of several tracks the container's is the longest one's
                self._seconds = container.duration / av.time_base
        elif stream.frames and self._rate:
            self._seconds = stream.frames / self._rate

    def missing(self, count: int, last: float | None) -> int:
        """Frames that were promised and did not come.

        Args:
            count: Frames that came.
            last: Time of the last one.
        """
        if self._frames is not None:
            return max(0, self._frames - count)
        if self._seconds is None or last is None or not self._rate:
            return 0
        # One frame lasts after the last time; headers of sound files promise a little more than decoders give.
        missing = self._seconds - last - 1 / self._rate
        mean = (last + 1 / self._rate) / count
        return round(missing / mean) if missing > max(2 * mean, 0.02 * self._seconds) else 0


def _packets(
    container: "av.container.InputContainer", stream: "av.video.stream.VideoStream"
) -> "Iterator[av.Packet | None]":
    """The packets of a stream; ``None`` for what cannot be read of the container."""
    packets = container.demux(stream)
    errors = 0
    while errors < _ERRORS_IN_A_ROW:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            errors += 1
            packets = container.demux(stream)
            yield None
            continue
        errors = 0
        yield packet


def display_matrix(frame: "av.VideoFrame") -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of the matrix that says how a frame is shown; ``None`` if it is shown as it is stored."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(memoryview(data), np.int32).tolist()
    return a, b, c, d


def upright(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """Turn and mirror an image as its display matrix says.

    Args:
        image: (H, W, 3).
        matrix: A stored point (x, y) is shown at (a x + c y, b x + d y). Turns by other angles than quarters, which no
            camera makes, are left alone.

    Returns:
        (H, W, 3) or (W, H, 3), contiguous.

    Example:
    >>> upright(np.arange(6).reshape(2, 3, 1), (0, 1, -1, 0))[..., 0]  # a quarter clockwise
    array([[3, 0],
           [4, 1],
           [5, 2]])
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if a == d == 0 and b and c:
        image, across, down = image.swapaxes(0, 1), c, b
    elif b == c == 0 and a and d:
        across, down = a, d
    else:
        return image
    image = image[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]
    return np.ascontiguousarray(image)
