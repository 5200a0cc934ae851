"""An event is one thing, whoever speaks of it: library, report, client, webhook and the figures of an evaluation."""

import http.server
import json
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_vad_client import EventTracker
from keras_vad_client.events import ALARM_BOUNDARY as CLIENT_BOUNDARY
from keras_vad_client.events import DOUBTFUL_SHARE as CLIENT_SHARE
from keras_vad_client.events import MERGE_WITHIN, AlarmShare
from keras_vad_client.smoothing import CausalMean
from keras_vad_client.webhook import Webhook

from keras_vad.data.video import ArrayFrames, Video
from keras_vad.evaluation.event_figures import event_figures
from keras_vad.report.page import ReportedVideo, _facts
from keras_vad.scoring.alarms import GROUP_WITHIN
from keras_vad.scoring.clock import times_at
from keras_vad.scoring.events import DOUBTFUL_SHARE, alarm_events, doubt_of
from keras_vad.scoring.series import ALARM_BOUNDARY, VideoScores

# Long stretches of few levels, the boundary itself among them, so that gaps of about 50 frames are common.
stretches = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.5, float(np.nextafter(np.float32(0.5), 1)), 0.7, 0.9]), st.integers(1, 60)),
    min_size=1,
    max_size=12,
)
first_frames = st.integers(0, 9)
smoothings = st.integers(1, 9)
steps = st.floats(0.01, 3.0)


def scores_of(parts: list[tuple[float, int]], first: int) -> VideoScores:
    level = np.concatenate([np.full(length, value, np.float32) for value, length in parts])
    return VideoScores(np.arange(first, first + len(level)), level, level)


def client_events(scores: VideoScores, times: np.ndarray | None, smoothing: int) -> list[dict[str, Any]]:
    """The ends that the client says, as a webhook would get them."""
    tracker, mean = EventTracker(), CausalMean(smoothing)
    said = []
    for i, (frame, level) in enumerate(zip(scores.frame_index, scores.calibrated, strict=True)):
        said += tracker.push(int(frame), mean.push(float(level)), None if times is None else float(times[i]))
    said += tracker.finish()
    return [event.to_dict() for event in said if event.state == "end"]


def test_constants_agree() -> None:
    assert (MERGE_WITHIN, CLIENT_BOUNDARY, CLIENT_SHARE) == (GROUP_WITHIN, ALARM_BOUNDARY, DOUBTFUL_SHARE)


@given(stretches, first_frames, smoothings, steps)
def test_the_clients_events_are_the_librarys(
    parts: list[tuple[float, int]], first: int, smoothing: int, step: float
) -> None:
    scores = scores_of(parts, first)
    times = step * scores.frame_index + np.sin(scores.frame_index) * step / 3
    events = alarm_events(scores, times, smoothing=smoothing)
    expected = [{"state": "end", "number": number, **vars(event)} for number, event in enumerate(events, start=1)]
    assert client_events(scores, times, smoothing) == expected
    without = [event | {"start_s": None, "peak_s": None, "end_s": None} for event in expected]
    assert client_events(scores, None, smoothing) == without


@given(stretches, first_frames)
def test_every_alarm_frame_belongs_to_exactly_one_event_and_events_begin_and_end_with_one(
    parts: list[tuple[float, int]], first: int
) -> None:
    scores = scores_of(parts, first)
    events = alarm_events(scores)
    alarms = set(scores.frame_index[scores.alarm].tolist())
    for frame in alarms:
        assert sum(event.start <= frame < event.end for event in events) == 1
    for event in events:
        assert {event.start, event.end - 1, event.peak} <= alarms
        inside = scores.calibrated[(scores.frame_index >= event.start) & (scores.frame_index < event.end)]
        assert event.score == inside.max() > ALARM_BOUNDARY


@given(stretches, first_frames)
def test_the_report_shows_the_same(parts: list[tuple[float, int]], first: int) -> None:
    scores = scores_of(parts, first)
    frames = np.zeros((int(scores.frame_index[-1]) + 1, 4, 4, 3), np.uint8)
    video = Video("clip", ArrayFrames(frames), fps=10.0)
    shown = _facts(ReportedVideo(video, scores))["events"]
    events = alarm_events(scores, times_at(scores.frame_index, 10.0))
    assert [(one["start"], one["end"], one["peak"], one["times"]) for one in shown] == [
        (one.start, one.end, one.peak, (one.start_s, one.peak_s, one.end_s)) for one in events
    ]
    assert [one["score"] for one in shown] == pytest.approx([one.score for one in events], abs=1e-4)


@given(stretches, first_frames)
def test_an_evaluation_counts_the_same(parts: list[tuple[float, int]], first: int) -> None:
    """On normal video every event is a false alarm, and its frames are normal time under alarm."""
    scores = scores_of(parts, first)
    events, length = alarm_events(scores), first + len(scores)
    figures = event_figures([np.zeros(length, bool)], [scores.frame_index], [scores.calibrated], [None])
    assert figures["false_alarms"] == len(events)
    assert figures["alarmed_normal_share"] == pytest.approx(sum(one.end - one.start for one in events) / len(scores))
    truth = np.zeros(length, bool)
    for event in events:
        truth[event.start : event.end] = True
    figures = event_figures([truth], [scores.frame_index], [scores.calibrated], [times_at(length, 5.0)])
    assert (figures["events"], figures["events_found"], figures["false_alarms"]) == (len(events), len(events), 0)
    assert figures["detection_delay_s"] in (None, 0.0)


def test_a_webhook_gets_the_same() -> None:
    received: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    scores = scores_of([(0.1, 70), (0.75, 30), (0.5, 51), (0.625, 1), (0.1, 9)], first=4)
    times = times_at(scores.frame_index, 4.0)
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/", say=pytest.fail)
        for event in client_events(scores, times, smoothing=1):
            hook.post(event)
        hook.close()
        server.shutdown()
    assert received == [
        {"state": "end", "number": number, **vars(event)}
        for number, event in enumerate(alarm_events(scores, times), start=1)
    ]
    assert [(event["start"], event["end"], event["start_s"], event["end_s"]) for event in received] == [
        (74, 104, 18.5, 25.75),
        (155, 156, 38.75, 38.75),
    ]


@given(stretches)
def test_client_and_library_doubt_the_same(parts: list[tuple[float, int]]) -> None:
    scores, share = scores_of(parts, 0), AlarmShare()
    assert not any(share.push(bool(alarm)) for alarm in scores.alarm)  # shorter than it waits for
    assert (share.finish() is not None) == (doubt_of([scores]) is not None)
