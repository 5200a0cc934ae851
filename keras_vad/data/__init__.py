"""Videos in: decoding, data-set readers, the frame cache, windows as tf.data.

The usual walk: ``open_dataset`` -> ``hold_out`` -> ``FrameCache.get`` -> ``window_dataset``.
"""

from keras_vad.data.base import VideoDataset
from keras_vad.data.cache import CachedFrames, FrameCache
from keras_vad.data.datasets import DATASETS, open_dataset
from keras_vad.data.shapes import make_shapes
from keras_vad.data.splits import held_out_of_run, hold_out, keys_of_training, unseen_footage
from keras_vad.data.video import ArrayFrames, Clip, FrameFolder, FrameSource, Labels, Video, VideoFile, open_video
from keras_vad.data.windows import steps_per_epoch, window_dataset

__all__ = [
    "DATASETS",
    "ArrayFrames",
    "CachedFrames",
    "Clip",
    "FrameCache",
    "FrameFolder",
    "FrameSource",
    "Labels",
    "Video",
    "VideoDataset",
    "VideoFile",
    "held_out_of_run",
    "hold_out",
    "keys_of_training",
    "make_shapes",
    "open_dataset",
    "open_video",
    "steps_per_epoch",
    "unseen_footage",
    "window_dataset",
]
