"""Cut a recording into parts for training, without encoding it again.

Example: python tools/cut.py street.mp4 videos/train --seconds 60 --end 900
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Cut one video file and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="video file")
    add("folder", type=Path, metavar="DIR", help="folder for the parts")
    add("--seconds", type=float, required=True, metavar="S", help="length of a part, up to the next key frame")
    add("--start", type=float, default=0.0, metavar="S", help="second to start at (default: %(default)g)")
    add("--end", type=float, metavar="S", help="second to end at (default: the end of the video)")
    args = parser.parse_args(argv)

    load_tensorflow()
    from keras_vad.data.cut import cut_video

    parts = cut_video(args.video, args.folder, args.seconds, start=args.start, end=args.end)
    print("\n".join(map(str, parts)))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
