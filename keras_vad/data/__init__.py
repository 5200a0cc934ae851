"""Videos in: decoding, data-set readers, the frame cache, windows as tf.data.

The usual walk: ``open_dataset`` -> ``hold_out`` -> ``FrameCache.get`` -> ``window_dataset``. Readers and videos need no
TensorFlow; the names are loaded when first used.
"""

from typing import TYPE_CHECKING

from keras_vad.common.lazy import lazy_names

if TYPE_CHECKING:
    from keras_vad.data.base import VideoDataset
    from keras_vad.data.cache import CachedFrames, FrameCache
    from keras_vad.data.datasets import DATASETS, open_dataset
    from keras_vad.data.shapes import make_shapes
    from keras_vad.data.splits import held_out_of_run, hold_out
    from keras_vad.data.video import ArrayFrames, Clip, FrameFolder, FrameSource, Labels, Video, VideoFile, open_video
    from keras_vad.data.windows import steps_per_epoch, window_dataset

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "VideoDataset": "keras_vad.data.base",
        "CachedFrames": "keras_vad.data.cache",
        "FrameCache": "keras_vad.data.cache",
        "DATASETS": "keras_vad.data.datasets",
        "open_dataset": "keras_vad.data.datasets",
        "make_shapes": "keras_vad.data.shapes",
        "held_out_of_run": "keras_vad.data.splits",
        "hold_out": "keras_vad.data.splits",
        "ArrayFrames": "keras_vad.data.video",
        "Clip": "keras_vad.data.video",
        "FrameFolder": "keras_vad.data.video",
        "FrameSource": "keras_vad.data.video",
        "Labels": "keras_vad.data.video",
        "Video": "keras_vad.data.video",
        "VideoFile": "keras_vad.data.video",
        "open_video": "keras_vad.data.video",
        "steps_per_epoch": "keras_vad.data.windows",
        "window_dataset": "keras_vad.data.windows",
    },
)
