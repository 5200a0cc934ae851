"""Cut a recording into parts for training.

Nothing is encoded again, unless it is asked for (--encode).

Example:
  keras-vad data cut street.mp4 videos/train --seconds 60 --end 900
"""

import argparse
from pathlib import Path

from keras_vad.cli import options
from keras_vad.common.files import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="video file")
    add("folder", type=Path, metavar="DIR", help="folder for the parts")
    add("--seconds", type=float, required=True, metavar="S", help="length of a part, up to the next key frame")
    add("--start", type=float, default=0.0, metavar="S", help="second to start at (default: %(default)g)")
    add("--end", type=float, metavar="S", help="second to end at (default: the end of the video)")
    add("--encode", action="store_true", help="encode again, for a file that cannot be cut without loss")
    options.add_fps(parser)


def run(args: argparse.Namespace) -> int:
    """Cut one video file and say what came out."""
    from keras_vad.data.cut import cut_video

    check_folder(args.folder)
    parts = cut_video(
        args.video, args.folder, args.seconds, start=args.start, end=args.end, encode=args.encode, fps=args.fps
    )
    print("\n".join(map(str, parts)))
    return 0
