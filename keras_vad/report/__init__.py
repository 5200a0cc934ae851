"""Pictures for people."""

from keras_vad.report.picture import draw_scored_video

__all__ = ["draw_scored_video"]
