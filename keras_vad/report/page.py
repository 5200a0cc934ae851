"""The report: one HTML page with everything in it, to look at where, when and how well a detector finds something."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np

from keras_vad.common.files import write_text
from keras_vad.data.video import Video
from keras_vad.errors import VadError
from keras_vad.evaluation.event_figures import event_figures
from keras_vad.report.curves import Buckets, intervals
from keras_vad.report.embed import EmbeddedVideo, embed, frame_order
from keras_vad.report.heat import HeatScale, heat_colours
from keras_vad.report.join import join_modules
from keras_vad.report.page_data import (
    CurveData,
    EventData,
    HeatData,
    MapData,
    PageData,
    PictureData,
    RocData,
    VideoData,
    VideoFacts,
)
from keras_vad.report.roc import Roc, roc_of
from keras_vad.scoring.events import Event, alarm_events, doubt_of
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores, finite_scores

MAX_BYTES = 20_000_000
_MOST_FRAMES = 3000  # in all videos together; encoding more would only be thrown away again
_MARKUP_BYTES = 100_000


@dataclass(frozen=True)
class ReportedVideo:
    """A scored video for a report.

    Args:
        video: Its name, frames and frame rate. The frames are decoded once more, to be put into the report.
        scores: Its scores; with maps, the report shows them over the frames.
        labels: bool (n,), True where the frame is anomalous; ``None`` if not known.

    Raises:
        VadError: If there are no scores, one is not finite, or labels are of another video.
    """

    video: Video
    scores: VideoScores
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        for values in (self.scores.calibrated, self.scores.raw, *self.scores.parts.values()):
            finite_scores(values, "a report")
        last = int(self.scores.frame_index[-1])
        if self.labels is not None and len(self.labels) <= last:
            raise VadError(
                f"{self.video.name} has a score of frame {last}, but {len(self.labels)} labels; give it its own labels."
            )

    @cached_property
    def times(self) -> np.ndarray | None:
        """Seconds of each scored frame, float64 (m,); ``None`` without a clock."""
        if self.scores.time_s is not None:
            return self.scores.time_s
        times, frames = self.video.times, self.scores.frame_index
        if times is None or frames[-1] >= len(times):  # scores of another video, which is told elsewhere
            return None
        return times[frames]

    @cached_property
    def events(self) -> list[Event]:
        """See ``alarm_events``."""
        return alarm_events(self.scores, self.times)

    @property
    def length(self) -> int:
        """Frames, as far as they are known without decoding the video: up to the last score or label."""
        return int(self.scores.frame_index[-1]) + 1 if self.labels is None else len(self.labels)


def write_report(
    path: Path,
    videos: Sequence[ReportedVideo],
    *,
    title: str,
    about: Mapping[str, object],
    config: str | None = None,
    max_bytes: int = MAX_BYTES,
    overwrite: bool = False,
) -> None:
    """Write a report as one HTML file that needs no network.

    It shows, for each video, the curve of calibrated scores with alarms, events and ground truth; frames with their
    maps laid over them; the raw score and its parts. With labels it has the ROC curve of the calibrated scores. Curves
    of more than 6,000 scores keep the lowest and highest value of equal stretches. Frames are JPEGs of at most 360
    pixels' width: all of a short video; of longer ones a selection, denser in events, as large as ``max_bytes`` lets it
    be.

    Args:
        path: The file.
        videos: At least one; with maps all or none, as all maps share one scale of colours.
        title: Heading of the page.
        about: What was run, on what: names and values, shown as they are.
        config: The run's configuration, if known, shown as it is.
        max_bytes: Size that the file shall not pass; every video has at least one frame whatever it says.
        overwrite: Whether to replace a file that exists.

    Raises:
        VadError: If there is no video, a video does not fit its scores, or the file exists or cannot be written.
    """
    if not videos:
        raise VadError("there are no videos to report on; give at least one.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    with_maps = [one.scores for one in videos if one.scores.maps is not None]
    if with_maps and len(with_maps) < len(videos):
        raise VadError(f"{len(with_maps)} of {len(videos)} videos have maps; score all with maps, or none.")
    scale = HeatScale.of(with_maps) if with_maps else None

    roc = _roc(videos)
    facts = [_facts(one) for one in videos]
    room = max_bytes - _MARKUP_BYTES - len(json.dumps(facts))
    embedded = _embed_within(room, videos, scale)
    data = PageData(
        boundary=ALARM_BOUNDARY,
        heat=None
        if scale is None
        else HeatData(low=scale.low, high=scale.high, colours=heat_colours().ravel().tolist()),
        videos=[_video(*each) for each in zip(facts, videos, embedded, strict=True)],
        roc=None
        if roc is None
        else RocData(
            fpr=_rounded(roc.false_positive),
            tpr=_rounded(roc.true_positive),
            auroc=roc.auroc,
            operating=roc.operating_point,
        ),
    )
    folder = resources.files("keras_vad.report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # and in our order
    page = environment.from_string((folder / "page.html").read_text("utf-8")).render(
        title=title,
        summary=_summary(videos, roc),
        doubt=None if any(one.labels is not None for one in videos) else doubt_of([one.scores for one in videos]),
        about={name: value for name, value in about.items() if value not in (None, "")},
        config=config,
        labelled=any(one.labels is not None for one in videos),
        roc=roc,
        data=data,
        pictures=[_pictures(one) for one in embedded],
        # Ours, so they need no escaping; a style or script element would not undo it.
        style=(folder / "page.css").read_text("utf-8"),
        script=join_modules(folder / "scripts", "main.js"),
    )
    write_text(path, page)


def _roc(videos: Sequence[ReportedVideo]) -> Roc | None:
    labelled = [(one.scores, one.labels) for one in videos if one.labels is not None]
    return roc_of([scores for scores, _ in labelled], [labels for _, labels in labelled]) if labelled else None


def _facts(one: ReportedVideo) -> VideoFacts:
    scores, labels = one.scores, one.labels
    buckets = Buckets.of(len(scores))
    curves = []
    for name, values in {"score": scores.calibrated, "raw score": scores.raw, **scores.parts}.items():
        low, high = buckets.extremes(np.asarray(values))
        curves.append(CurveData(name=name, high=_rounded(high), low=None if buckets.length == 1 else _rounded(low)))
    roc = None if labels is None else roc_of([scores], [labels])
    return VideoFacts(
        name=one.video.name,
        fps=one.video.fps,
        length=one.length,
        scored=len(scores),
        alarms=int(scores.alarm.sum()),
        highest=round(float(scores.calibrated.max()), 4),
        anomalous=None if labels is None else int(labels.sum()),
        auroc=None if roc is None else roc.auroc,
        truth=None if labels is None else intervals(labels),
        events=[_event(event) for event in one.events],
        at=scores.frame_index[buckets.starts].tolist(),
        curves=curves,
    )


def _event(event: Event) -> EventData:
    times = None
    if event.start_s is not None and event.peak_s is not None and event.end_s is not None:
        times = event.start_s, event.peak_s, event.end_s
    return EventData(start=event.start, end=event.end, peak=event.peak, score=round(event.score, 4), times=times)


def _video(facts: VideoFacts, one: ReportedVideo, pictures: EmbeddedVideo) -> VideoData:
    scores, held = one.scores, pictures.index
    return {
        **facts,
        "shown": scores.frame_index[held].tolist(),
        "levels": _rounded(scores.calibrated[held]),
        "values": {name: _rounded(values[held]) for name, values in {"raw score": scores.raw, **scores.parts}.items()},
    }


def _pictures(one: EmbeddedVideo) -> PictureData:
    maps = None
    if one.heat is not None and one.map_size is not None:
        maps = MapData(rows=one.map_size[0], columns=one.map_size[1], values=one.heat)
    return PictureData(frames=one.jpeg, maps=maps)


def _summary(videos: Sequence[ReportedVideo], roc: Roc | None) -> list[tuple[str, str]]:
    """The figures at the top of the page: what, how much."""
    scored = sum(len(one.scores) for one in videos)
    alarms = sum(int(one.scores.alarm.sum()) for one in videos)
    highest = max(float(one.scores.calibrated.max()) for one in videos)
    figures = [("frames scored", f"{scored:,}")]
    if len(videos) > 1:
        figures.insert(0, ("videos", f"{len(videos)}"))
    anomalous = sum(int(one.labels.sum()) for one in videos if one.labels is not None)
    if any(one.labels is not None for one in videos):
        figures.append(("anomalous by ground truth", f"{anomalous:,}"))
    figures += [
        ("frames with an alarm", f"{alarms:,} ({alarms / scored:.0%})"),
        ("events", f"{sum(len(one.events) for one in videos)}"),
    ]
    figures += _against_truth([one for one in videos if one.labels is not None])
    if roc is None:
        return [*figures, ("highest score", f"{highest:.2f}")]
    false, true = roc.operating_point
    return [
        *figures,
        ("AUROC", f"{100 * roc.auroc:.1f} %"),
        ("anomalous frames found", f"{true:.0%}"),
        ("normal frames flagged", f"{false:.0%}"),
    ]


def _against_truth(videos: Sequence[ReportedVideo]) -> list[tuple[str, str]]:
    """What events are worth to who is called by them, of the videos with labels."""
    labels = [one.labels for one in videos if one.labels is not None]
    if not labels:
        return []
    row = event_figures(
        labels,
        [one.scores.frame_index for one in videos],
        [one.scores.calibrated for one in videos],
        [one.video.times for one in videos],
    )
    figures = [
        ("found of the ground truth's events", f"{row['events_found']} of {row['events']}"),
        ("false alarms", f"{row['false_alarms']}"),
    ]
    if row["alarmed_normal_share"] is not None:
        figures.append(("of normal time under alarm", f"{row['alarmed_normal_share']:.0%}"))
    return figures


def _embed_within(room: int, videos: Sequence[ReportedVideo], scale: HeatScale | None) -> list[EmbeddedVideo]:
    """Frames of all videos, fewer of each until they take no more than ``room`` bytes."""
    share = min(1.0, _MOST_FRAMES / sum(len(one.scores) for one in videos))
    embedded, orders = [], []
    for one in videos:
        order = frame_order(one.scores, one.events)
        chosen = order[: max(1, int(share * len(order)))]
        embedded.append(embed(one.video.frames, one.scores, chosen, scale, one.video.name))
        orders.append(order)
    total = sum(video.bytes_of(place) for video in embedded for place in range(len(video.index)))
    if total > room:
        for video, order in zip(embedded, orders, strict=True):
            sizes = {index: video.bytes_of(place) for place, index in enumerate(video.index)}
            left = sum(sizes.values()) * room / total
            kept = {order[0]}
            for index in order:
                left -= sizes.get(index, 0)
                if left < 0:
                    break
                kept.add(index)
            video.keep(kept)
    return embedded


def _rounded(values: np.ndarray) -> list[float]:
    """Four digits, which is more than a screen shows."""
    return [float(f"{value:.4g}") for value in np.asarray(values, np.float64)]
