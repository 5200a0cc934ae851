"""What a report's page holds for its scripts: the one declaration, from which the scripts' types are made.

``tools/page_types.py`` writes ``scripts/types.d.ts``, which the scripts are checked against.
"""

from typing import TypedDict


class CurveData(TypedDict):
    """Values of a curve, one a bucket of scores, or the extremes of each where buckets hold several.

    Args:
        name: What is shown.
        high: Highest value of each bucket.
        low: Lowest value of each; none where buckets hold one score.
    """

    name: str
    high: list[float]
    low: list[float] | None


class EventData(TypedDict):
    """An event.

    Args:
        start: The frame of its first alarm.
        end: The frame behind its last alarm.
        peak: The frame with its highest score.
        score: That score, in [0, 1].
        times: Seconds of its first alarm, its peak and its last alarm; none without a clock.
    """

    start: int
    end: int
    peak: int
    score: float
    times: tuple[float, float, float] | None


class VideoFacts(TypedDict):
    """What is known of a video before frames of it are chosen.

    Args:
        name: Its name.
        fps: Frames a second; none if not known.
        length: Frames.
        scored: Frames that have a score.
        alarms: Frames with an alarm.
        highest: The highest calibrated score.
        anomalous: Anomalous frames by ground truth; none without labels.
        auroc: Of this video, in [0, 1]; none without frames of both classes.
        truth: Anomalous stretches, (first frame, behind the last); none without labels.
        events: In the order of time.
        at: First frame of each bucket of the curves.
        curves: Calibrated score first, then raw score and its parts.
    """

    name: str
    fps: float | None
    length: int
    scored: int
    alarms: int
    highest: float
    anomalous: int | None
    auroc: float | None
    truth: list[tuple[int, int]] | None
    events: list[EventData]
    at: list[int]
    curves: list[CurveData]


class VideoData(VideoFacts):
    """A video, with the scores of the frames that the page holds.

    Args:
        shown: Numbers of these frames, ascending.
        levels: Calibrated score of each.
        values: Raw score and its parts of each, by their names.
    """

    shown: list[int]
    levels: list[float]
    values: dict[str, list[float]]


class HeatData(TypedDict):
    """The colours of maps.

    Args:
        low: The map value of the first colour.
        high: The map value of the last one.
        colours: Red, green, blue and opacity, each 0 to 255, of 256 colours.
    """

    low: float
    high: float
    colours: list[int]


class RocData(TypedDict):
    """The ROC curve of all videos together.

    Args:
        fpr: False positive rates.
        tpr: True positive rate at each.
        auroc: Area under the curve.
        operating: (false, true positive rate) of alarms.
    """

    fpr: list[float]
    tpr: list[float]
    auroc: float
    operating: tuple[float, float]


class PageData(TypedDict):
    """Everything but pictures; the element ``data``.

    Args:
        boundary: Calibrated score above which a frame has an alarm.
        heat: None without maps.
        videos: At least one.
        roc: None without labels of both classes.
    """

    boundary: float
    heat: HeatData | None
    videos: list[VideoData]
    roc: RocData | None


class MapData(TypedDict):
    """Maps of a video.

    Args:
        rows: Height of each.
        columns: Width of each.
        values: One a frame: base64 of a byte a place, which is the index of its colour.
    """

    rows: int
    columns: int
    values: list[str]


class PictureData(TypedDict):
    """Pictures of a video, one for each of its ``shown`` frames; the elements ``pictures-0``, ``pictures-1``...

    Args:
        frames: Base64 of JPEG files.
        maps: None if the page has no heat maps.
    """

    frames: list[str]
    maps: MapData | None
