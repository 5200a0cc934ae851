"""Draw a scored video.

The frames with the highest scores, where the anomaly is in them, and the curve of scores.

Example:
  keras-vad picture Test001 --dataset shapes --data-dir demo/shapes --model demo/run --output test001.png
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vad.cli import options
from keras_vad.cli.parser import from_one
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.suggest import did_you_mean
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.data.video import Labels, Video

_MOST_BYTES = 2**30  # of maps, which are all kept until the picture is drawn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("video", metavar="VIDEO", help="video file or folder of frames; or a test video's name, with --dataset")
    options.add_data(parser, required=False, key="; its labels are drawn, too")
    options.add_trained(parser)
    add("--output", metavar="FILE", type=Path, required=True, help=".png, .svg or .pdf to write")
    add("--frames", metavar="N", type=from_one, default=5, help="frames to show (default: %(default)s)")
    add("--title", help="stands above the curve (default: the video and the model)")
    options.add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Score one video and draw it."""
    from keras_vad.presets.resolve import resolve

    if (args.dataset is None) != (args.data_dir is None):
        raise VadError("--dataset and --data-dir belong together; give both for a data set's test video, or neither.")
    options.check_outputs(args, "output")
    video, labels = _find(args.video, args.dataset, args.data_dir)
    trained = resolve(args.model, args.zoo)

    load_tensorflow()
    from keras_vad.models.registry import method_of
    from keras_vad.report import draw_scored_video

    detector = trained.load()
    height, width = detector.window.size
    if 4 * height * width * len(video.frames) > _MOST_BYTES:
        raise VadError(
            f"{video.name} has {len(video.frames)} frames, but a picture of this model's maps can show at most "
            f"{_MOST_BYTES // (4 * height * width)}; cut it into shorter videos."
        )
    scores = detector.score_video(video, maps=True)
    title = f"{video.name}, scored by {method_of(detector)}" if args.title is None else args.title
    shown = draw_scored_video(video, scores, args.output, labels=labels, title=title, frames=args.frames)
    print(f"{args.output}: {len(scores)} scores, frames {', '.join(map(str, shown))}.")
    return 0


def _find(video: str, dataset: str | None, data_dir: Path | None) -> "tuple[Video, Labels | None]":
    from keras_vad.data.datasets import open_dataset
    from keras_vad.data.video import open_video

    if dataset is None or data_dir is None:
        return open_video(video), None
    tests = {test.name: (test, labels) for test, labels in open_dataset(dataset, data_dir).test_videos()}
    if video not in tests:
        raise VadError(
            f"{dataset} has no test video {video!r}{did_you_mean(video, tests)}; choose one of {', '.join(tests)}."
        )
    return tests[video]
