"""Score a video, frame by frame: with a served model (--server), or with the model loaded into this process.

Example: python tools/score.py clip.mp4 --server localhost:8500 --model adv3dcae_ucsdped2 --csv scores.csv
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vad.cli import load_tensorflow, run
from keras_vad.errors import VadError
from keras_vad.files import write_text

if TYPE_CHECKING:
    from keras_vad.data.video import Video
    from keras_vad.scoring.series import VideoScores


def main(argv: Sequence[str] | None = None) -> int:
    """Score one video and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("video", type=Path, metavar="VIDEO_OR_FRAMES_DIR", help="video file, or folder of frames")
    parser.add_argument("--model", required=True, metavar="NAME", help="name in the zoo; or a path, without --server")
    parser.add_argument("--csv", required=True, type=Path, metavar="FILE", help="where to write the scores")
    parser.add_argument("--server", metavar="HOST:PORT", help="gRPC server to ask (default: score in this process)")
    parser.add_argument("--zoo", default="zoo", type=Path, help="zoo folder, without --server (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one request (default: %(default)g)")
    parser.add_argument("--overwrite", action="store_true", help="replace the CSV file if there is one")
    args = parser.parse_args(argv)
    if args.csv.exists() and not args.overwrite:
        raise VadError(f"{args.csv} exists; pass --overwrite to replace it, or name another file.")

    load_tensorflow()
    from keras_vad.data.video import open_video

    video = open_video(args.video)
    scores = (
        _score_served(video, args.server, args.model, args.timeout)
        if args.server
        else _score_in_process(video, args.model, args.zoo)
    )
    write_csv(args.csv, scores, video.fps)
    print(f"{args.csv}: {len(scores)} frames scored, {int(scores.alarm.sum())} with an alarm.")
    return 0


def _score_served(video: "Video", server: str, model: str, timeout: float) -> "VideoScores":
    from serving.scorer import score_over_grpc

    return score_over_grpc(server, model, video.frames, timeout=timeout)


def _score_in_process(video: "Video", model: str, zoo: Path) -> "VideoScores":
    import keras_vad

    return keras_vad.load(model, zoo).score_video(video)


def write_csv(path: Path, scores: "VideoScores", fps: float | None) -> None:
    """Write one row a scored frame; the file appears when it is complete.

    Args:
        path: The file.
        scores: The scores.
        fps: Frames a second; ``time_s`` stays empty if ``None``.

    Raises:
        VadError: If the file cannot be written; nothing is left of it then.
    """
    lines = ["frame,time_s,raw_score,score,alarm"]
    for frame, raw, score, alarm in zip(scores.frame_index, scores.raw, scores.calibrated, scores.alarm, strict=True):
        time_s = "" if fps is None else f"{frame / fps:.3f}"
        # Nine digits hold every float32 exactly.
        lines.append(f"{frame},{time_s},{raw:.9g},{score:.9g},{alarm:d}")
    write_text(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(run(main))
