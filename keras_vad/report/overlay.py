"""The video of a scored video: maps laid over its frames, boxes around what is unusual, the curve of scores below."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from keras_vad.common.files import appearing
from keras_vad.data.video import Video
from keras_vad.errors import VadError
from keras_vad.report.curves import Buckets
from keras_vad.report.heat import HeatScale, heat_colours
from keras_vad.scoring.events import Event, alarm_events
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores, finite_scores

BOX_LEVEL = 0.2  # of the range of the colours: a place this hot is in a box
STRIP_HEIGHT = 92  # even
_LEAST_WIDTH = 320
_TICKS = 30_000  # a second, of the times that are written; MPEG-4 takes no more than 65,535
_DEFAULT_FPS = 25.0
_TEXT = 20  # the strip's rows of text, above
_EVENTS = 7  # its rows of bars, and these above the curve

# RGB
_STRIP = (24, 28, 33)
_CURVE = (140, 191, 245)
_ALARM = (255, 110, 100)
_EVENT = (199, 155, 230)
_CURSOR = (255, 255, 255)
_BOX = (255, 64, 64)


def write_overlay(path: Path, video: Video, scores: VideoScores, *, overwrite: bool = False) -> int:
    """Write the video as an MP4 file with maps, boxes and a strip of scores.

    A place is clear up to the level that normal places stay below (``HeatScale``). While an event lasts
    (``alarm_events``), boxes surround the regions of the map that are hotter than ``BOX_LEVEL`` of that scale. The
    strip shows the calibrated score of the whole video, the alarm boundary (dashed), events (bars above) and a cursor
    at the frame that is shown. Frames without a score have no map and no number.

    The frames are decoded once and none is kept; narrow ones are enlarged by a whole factor to at least 320 pixels.
    The codec is H.264, or MPEG-4 where PyAV was built without it.

    Args:
        path: The file, ``.mp4``.
        video: The video that was scored; its frames are shown at its times, at 25 a second if it has none.
        scores: Its scores, with maps.
        overwrite: Whether to replace a file that exists.

    Returns:
        The number of frames written: all of the video.

    Raises:
        VadError: If the scores have no maps or are of another video, or the file exists or cannot be written.
    """
    if path.suffix.lower() != ".mp4":
        raise VadError(f"{path} is no name of an MP4 file; let it end in .mp4.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    finite_scores(scores.calibrated, "an overlay")
    painter = _Painter(video, scores)
    rate = Fraction(video.fps or _DEFAULT_FPS).limit_denominator(1001)
    with appearing(path) as partial:
        try:
            count = _encode(partial, painter.paint(), rate, painter.times)
        except av.FFmpegError as error:
            raise VadError(
                f"{path} cannot be written ({error.strerror}); free some space or name another place."
            ) from error
        if count <= scores.frame_index[-1]:
            raise VadError(
                f"the scores are not those of {video.name}, which has {count} frames but a score of frame "
                f"{scores.frame_index[-1]}; score it again."
            )
    return count


def _encode(path: Path, pictures: Iterator[np.ndarray], rate: Fraction, times: np.ndarray | None) -> int:
    """Write RGB pictures of one even size, each shown at its time; their number."""
    count = 0
    # The index first, so that a browser can show the beginning while it loads the rest.
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream: VideoStream | None = None
        for picture in pictures:
            if stream is None:
                height, width = picture.shape[:2]
                stream = _add_stream(container, rate, width, height)
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, _TICKS)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[count] * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def _add_stream(container: av.container.OutputContainer, rate: Fraction, width: int, height: int) -> VideoStream:
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
    else:
        stream = container.add_stream("mpeg4", rate=rate, bit_rate=4_000_000)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


class _Painter:
    """Draws the frames of one overlay."""

    def __init__(self, video: Video, scores: VideoScores) -> None:
        self.video, self.scores = video, scores
        self.scale = HeatScale.of([scores])
        self.colours = heat_colours().astype(np.float32)
        self.events = alarm_events(scores, video.fps)
        self.index_of = {int(number): index for index, number in enumerate(scores.frame_index)}
        self.last = int(scores.frame_index[-1])
        self.times = video.times

    def paint(self) -> Iterator[np.ndarray]:
        strip = None
        for number, frame in enumerate(self.video.frames):
            picture = _enlarged(frame)
            if strip is None:
                strip = _strip(self.scores, self.events, picture.shape[1])
            index = self.index_of.get(number)
            if index is not None:
                self._heat(picture, index)
            yield np.vstack([picture, self._strip_at(strip, number, index)])

    def _heat(self, picture: np.ndarray, index: int) -> None:
        assert self.scores.maps is not None  # HeatScale.of has checked it
        height, width = picture.shape[:2]
        level = (self.scores.maps[index] - self.scale.low) / (self.scale.high - self.scale.low)
        level = cv2.resize(np.clip(level, 0, 1).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        rgba = self.colours[np.round(255 * level).astype(np.uint8)]
        alpha = rgba[..., 3:] / 255
        picture[:] = np.round(picture * (1 - alpha) + rgba[..., :3] * alpha)
        number = int(self.scores.frame_index[index])
        if any(event.start <= number < event.end for event in self.events):
            for left, top, right, bottom in hot_boxes(level):
                cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _BOX, 2)

    def _strip_at(self, strip: np.ndarray, number: int, index: int | None) -> np.ndarray:
        strip = strip.copy()
        x = round(min(number / max(self.last, 1), 1.0) * (strip.shape[1] - 1))
        cv2.line(strip, (x, _TEXT), (x, STRIP_HEIGHT - 1), _CURSOR, 1)
        text = f"frame {number}"
        if self.times is not None:
            seconds = self.times[number]
            text += f"  {int(seconds // 60)}:{seconds % 60:05.2f}"
        colour = _CURSOR
        if index is not None:
            level = float(self.scores.calibrated[index])
            text += f"  score {level:.2f}"
            if level > ALARM_BOUNDARY:
                text, colour = f"{text}  ALARM", _ALARM
        cv2.putText(strip, text, (6, _TEXT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
        return strip


def hot_boxes(level: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes around the regions hotter than ``BOX_LEVEL``, leaving out specks.

    Args:
        level: float32 (h, w), a map on the scale of the colours, 0 to 1.

    Returns:
        (left, top, right, bottom) in pixels, right and bottom behind the last one; regions that touch, diagonally too,
        are one. Regions of less than a thousandth of the map have no box.

    Example:
    >>> level = np.zeros((40, 60), np.float32)
    >>> level[10:20, 30:45] = 0.9
    >>> hot_boxes(level)
    [(30, 10, 45, 20)]
    """
    hot = (level > BOX_LEVEL).astype(np.uint8)
    _, _, regions, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    return [
        (int(left), int(top), int(left + width), int(top + height))
        for left, top, width, height, area in regions[1:]
        if 1000 * area >= level.size
    ]


def _enlarged(frame: np.ndarray) -> np.ndarray:
    """A copy of at least 320 pixels' width, both sides even as the codec needs them."""
    height, width = frame.shape[:2]
    factor = max(1, -(-_LEAST_WIDTH // width))
    size = (factor * width + factor * width % 2, factor * height + factor * height % 2)
    if size == (width, height):
        return frame.copy()
    return cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)


def _strip(scores: VideoScores, events: Sequence[Event], width: int) -> np.ndarray:
    """The strip without its cursor, uint8 (STRIP_HEIGHT, width, 3)."""
    strip = np.full((STRIP_HEIGHT, width, 3), _STRIP, np.uint8)
    last = max(int(scores.frame_index[-1]), 1)

    def x(number: np.ndarray | int) -> np.ndarray:
        return np.round(np.minimum(np.asarray(number) / last, 1.0) * (width - 1)).astype(int)

    def y(level: np.ndarray | float) -> np.ndarray:
        room = STRIP_HEIGHT - _TEXT - _EVENTS - 4
        return np.round(STRIP_HEIGHT - 3 - np.asarray(level, np.float64) * room).astype(int)

    boundary = int(y(ALARM_BOUNDARY))
    for left in range(0, width, 8):
        cv2.line(strip, (left, boundary), (min(left + 4, width - 1), boundary), _ALARM, 1)
    buckets = Buckets.of(len(scores), most=width)
    low, high = buckets.extremes(scores.calibrated)
    at = x(scores.frame_index[buckets.starts])
    points = np.stack([np.repeat(at, 2), np.stack([y(high), y(low)], axis=1).ravel()], axis=1)
    cv2.polylines(strip, [points.astype(np.int32)], isClosed=False, color=_CURVE, thickness=1, lineType=cv2.LINE_AA)
    for event in events:
        left, right = int(x(event.start)), int(x(event.end))
        cv2.rectangle(strip, (left, _TEXT), (max(right, left + 2), _TEXT + _EVENTS - 4), _EVENT, cv2.FILLED)
    return strip
