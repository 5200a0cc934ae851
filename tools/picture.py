"""Draw a scored video: the frames with the highest scores, where the anomaly is in them, and the curve of scores.

Example: python tools/picture.py Test001 --dataset shapes --data-dir demo/shapes --model demo/run --output test001.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vad.cli.process import load_tensorflow, run
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.data.video import Labels, Video

_MOST_BYTES = 2**30  # of maps, which are all kept until the picture is drawn


def main(argv: Sequence[str] | None = None) -> int:
    """Score one video and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("video", metavar="VIDEO", help="video file or folder of frames; or a test video's name")
    parser.add_argument("--dataset", metavar="KEY", help="the data set whose test video is meant; draws its labels too")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="where the data set lies")
    parser.add_argument(
        "--model", metavar="PATH_OR_NAME", required=True, help="a model's name, run folder, .keras file or zoo folder"
    )
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help=".png, .svg or .pdf to write")
    parser.add_argument("--frames", metavar="N", type=int, default=5, help="frames to show (default: %(default)s)")
    parser.add_argument("--title", help="stands above the curve (default: the video and the model)")
    parser.add_argument("--overwrite", action="store_true", help="replace the picture if there is one")
    args = parser.parse_args(argv)
    if (args.dataset is None) != (args.data_dir is None):
        raise VadError("--dataset and --data-dir belong together; give both for a data set's test video, or neither.")
    if args.output.exists() and not args.overwrite:
        raise VadError(f"{args.output} exists; pass --overwrite to replace it, or name another file.")

    load_tensorflow()
    import keras_vad
    from keras_vad.models.registry import model_key
    from keras_vad.report import draw_scored_video

    video, labels = _find(args.video, args.dataset, args.data_dir)
    detector = keras_vad.load(args.model)
    height, width = detector.window.size
    if 4 * height * width * len(video.frames) > _MOST_BYTES:
        raise VadError(
            f"{video.name} has {len(video.frames)} frames, but a picture of this model's maps can show at most "
            f"{_MOST_BYTES // (4 * height * width)}; cut it into shorter videos."
        )
    scores = detector.score_video(video, maps=True)
    title = f"{video.name}, scored by {model_key(detector)}" if args.title is None else args.title
    shown = draw_scored_video(video, scores, args.output, labels=labels, title=title, frames=args.frames)
    print(f"{args.output}: {len(scores)} scores, frames {', '.join(map(str, shown))}.")
    return 0


def _find(video: str, dataset: str | None, data_dir: Path | None) -> "tuple[Video, Labels | None]":
    from keras_vad.data import open_dataset
    from keras_vad.data.video import open_video

    if dataset is None or data_dir is None:
        return open_video(video), None
    tests = {test.name: (test, labels) for test, labels in open_dataset(dataset, data_dir).test_videos()}
    if video not in tests:
        raise VadError(f"{dataset} has no test video {video!r}; choose one of {', '.join(tests)}.")
    return tests[video]


if __name__ == "__main__":
    sys.exit(run(main))
