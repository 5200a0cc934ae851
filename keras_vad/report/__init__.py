"""Pictures, pages and videos for people."""

from keras_vad.report.embed import MAP_SIZE
from keras_vad.report.overlay import write_overlay
from keras_vad.report.page import ReportedVideo, write_report
from keras_vad.report.picture import draw_scored_video
from keras_vad.report.reconstruction import draw_restored

__all__ = ["MAP_SIZE", "ReportedVideo", "draw_restored", "draw_scored_video", "write_overlay", "write_report"]
