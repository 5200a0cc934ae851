"""Pictures for people."""

from keras_vad.report.picture import draw_scored_video
from keras_vad.report.reconstruction import draw_restored

__all__ = ["draw_restored", "draw_scored_video"]
