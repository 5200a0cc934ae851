"""Pictures, pages and videos for people; the names are loaded when first used."""

from typing import TYPE_CHECKING

from keras_vad.common.lazy import lazy_names

if TYPE_CHECKING:
    from keras_vad.report.embed import MAP_SIZE
    from keras_vad.report.overlay import write_overlay
    from keras_vad.report.page import ReportedVideo, write_report
    from keras_vad.report.picture import draw_scored_video
    from keras_vad.report.reconstruction import draw_restored

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "MAP_SIZE": "keras_vad.report.embed",
        "write_overlay": "keras_vad.report.overlay",
        "ReportedVideo": "keras_vad.report.page",
        "write_report": "keras_vad.report.page",
        "draw_scored_video": "keras_vad.report.picture",
        "draw_restored": "keras_vad.report.reconstruction",
    },
)
