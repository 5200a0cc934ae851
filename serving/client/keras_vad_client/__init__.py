"""Scores of video from a served anomaly detector, without TensorFlow.

``VadClient`` (and its asyncio twin ``AsyncVadClient``) asks TensorFlow Serving or the local server of keras_vad;
``EventTracker`` makes events of the scores.
"""

from keras_vad_client.aio import AsyncVadClient
from keras_vad_client.client import VadClient
from keras_vad_client.errors import VadClientError
from keras_vad_client.events import Event, EventTracker
from keras_vad_client.results import FrameScore, VideoScores
from keras_vad_client.retry import Retry
from keras_vad_client.tls import Tls
from keras_vad_client.window import Window

__all__ = [
    "AsyncVadClient",
    "Event",
    "EventTracker",
    "FrameScore",
    "Retry",
    "Tls",
    "VadClient",
    "VadClientError",
    "VideoScores",
    "Window",
]
