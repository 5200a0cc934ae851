"""Which frames of a video a report holds, and how they are stored in it."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.heat import HeatScale
from keras_vad.scoring.events import Event
from keras_vad.scoring.maps import reduce_maps
from keras_vad.scoring.series import VideoScores

MAP_SIZE = (24, 36)  # (height, width) that maps are kept at; 3.5 kB a frame in memory, 1.2 kB in the report
_FRAME_WIDTH = 360
_JPEG_QUALITY = 72


@dataclass
class EmbeddedVideo:
    """The frames of one video in a report, in order.

    Args:
        index: Index of each in the video's scores.
        jpeg: Each as base64 text of a JPEG file.
        heat: The map of each as base64 text of h·w bytes, indices of ``heat_colours``; ``None`` without maps.
        map_size: (h, w) of the maps.
    """

    index: list[int] = field(default_factory=list)
    jpeg: list[str] = field(default_factory=list)
    heat: list[str] | None = None
    map_size: tuple[int, int] | None = None

    def keep(self, indices: set[int]) -> None:
        """Drop all frames but those of these indices."""
        kept = [place for place, index in enumerate(self.index) if index in indices]
        self.index = [self.index[place] for place in kept]
        self.jpeg = [self.jpeg[place] for place in kept]
        if self.heat is not None:
            self.heat = [self.heat[place] for place in kept]

    def bytes_of(self, place: int) -> int:
        """Size in the report of the frame at ``place`` of the lists."""
        return len(self.jpeg[place]) + (0 if self.heat is None else len(self.heat[place])) + 6  # quotes and commas


def frame_order(scores: VideoScores, events: Sequence[Event]) -> list[int]:
    """All scored frames of a video in the order in which a report wants them.

    First the peaks of events, then in turn one of an event and one of the whole video, each so that any beginning of
    the order is spread evenly. A report that stops anywhere has a frame of everything, and more of events.

    Args:
        scores: Scores of the video.
        events: Its events.

    Returns:
        Indices of scores, each once.

    Example:
    >>> scores = VideoScores(np.arange(9), np.zeros(9, np.float32), np.zeros(9, np.float32))
    >>> frame_order(scores, [Event(start=5, end=8, peak=6, score=0.9)])
    [6, 5, 0, 7, 8, 4, 2, 1, 3]
    """
    numbers = scores.frame_index
    peaks = [int(np.searchsorted(numbers, event.peak)) for event in events]
    spans = [np.searchsorted(numbers, (event.start, event.end)) for event in events]
    within = [index for start, end in spans for index in range(start, end)]
    wanted = dict.fromkeys(sorted(peaks, key=lambda index: -scores.calibrated[index]))
    eventful, everywhere = _spread(len(within)), _spread(len(scores))
    for turn, place in enumerate(everywhere):
        if turn < len(eventful):
            wanted.setdefault(within[eventful[turn]])
        wanted.setdefault(place)
    return list(wanted)


def _spread(count: int) -> list[int]:
    """0 to count - 1, ordered so that every beginning is spread evenly (bits reversed)."""
    bits = max(count - 1, 0).bit_length()
    reversed_bits = np.zeros(1 << bits, np.int64)
    for bit in range(bits):
        reversed_bits |= ((np.arange(1 << bits) >> bit) & 1) << (bits - 1 - bit)
    return reversed_bits[reversed_bits < count].tolist()


def embed(
    frames: Iterable[np.ndarray], scores: VideoScores, chosen: Iterable[int], scale: HeatScale | None, name: str
) -> EmbeddedVideo:
    """Encode some frames of a video; it is decoded once and never held.

    Args:
        frames: uint8 (H, W, 3) each, in order.
        scores: Its scores.
        chosen: Indices of scores.
        scale: Of the maps; ``None`` leaves them out.
        name: Of the video, for the message.

    Raises:
        VadError: If the video ends before the last chosen frame.
    """
    wanted = {int(scores.frame_index[index]): index for index in sorted(chosen)}
    video = EmbeddedVideo()
    maps = None if scale is None else scores.maps
    if maps is not None and scale is not None:
        indices = list(wanted.values())
        small = scale.bytes_of(reduce_maps(maps[indices], MAP_SIZE))
        video.heat = [base64.b64encode(one.tobytes()).decode("ascii") for one in small]
        video.map_size = (small.shape[1], small.shape[2])
    last = max(wanted)
    for number, frame in enumerate(frames):
        if number in wanted:
            video.index.append(wanted[number])
            video.jpeg.append(_jpeg(_narrow(frame)))
        if number == last:
            return video
    raise VadError(f"the scores are not those of {name}, which ends before frame {last}; score it again.")


def _narrow(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if width <= _FRAME_WIDTH:
        return frame
    size = (_FRAME_WIDTH, max(1, round(height * _FRAME_WIDTH / width)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _jpeg(frame: np.ndarray) -> str:
    gray = bool((frame == frame[..., :1]).all())
    image = Image.fromarray(np.ascontiguousarray(frame[..., 0]) if gray else frame)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
