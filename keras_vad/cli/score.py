"""Score a video, frame by frame.

With a served model (--server), or with the model loaded into this process.

A report (--report) is a page to look at in a browser; an overlay (--overlay) is the video with what was found drawn in.

Example:
  keras-vad score clip.mp4 --server localhost:8500 --model adv3dcae_ucsdped2 --csv scores.csv
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_vad.cli import options
from keras_vad.cli.parser import above_zero
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import write_text
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.data.video import Video
    from keras_vad.presets.resolve import TrainedDetector
    from keras_vad.scoring.series import VideoScores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("video", metavar="VIDEO_OR_FRAMES_DIR", help="video file, or folder of frames")
    options.add_trained(parser)
    options.add_second(parser)
    options.add_fps(parser)
    add(
        "--max-lost",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of a file's frames that may be damaged or missing (default: %(default)g)",
    )
    add("--csv", type=Path, metavar="FILE", help="write the scores")
    add("--report", type=Path, metavar="HTML", help="write a page with curve, events and frames")
    add("--overlay", type=Path, metavar="MP4", help="write the video with maps and scores")
    options.add_overwrite(parser)
    add("--server", metavar="HOST:PORT", help="gRPC server to ask for --model (default: score in this process)")
    add("--timeout", type=above_zero, default=120.0, metavar="S", help="seconds for one request (default: %(default)g)")


def run(args: argparse.Namespace) -> int:
    """Score one video and write the scores."""
    if args.csv is None and args.report is None and args.overlay is None:
        raise VadError("there is nothing to write; pass --csv, --report or --overlay with the name of a file.")
    if args.overlay is not None and args.overlay.suffix.lower() != ".mp4":
        raise VadError(f"--overlay is {args.overlay}, but must be the name of an .mp4 file.")
    if args.second is not None and args.server:
        raise VadError("a server scores with one model, but --with names a second; leave out --server or --with.")
    if args.second is not None and args.overlay is not None:
        raise VadError("a two-part score has no maps, which --overlay draws; leave out --with or --overlay.")
    options.check_outputs(args, "csv", "report", "overlay")
    from keras_vad.data.video import open_video
    from keras_vad.presets.resolve import resolve

    video = open_video(args.video, fps=args.fps, max_lost=args.max_lost)
    names = [args.model] if args.second is None else [args.model, args.second]
    trained = [] if args.server else [resolve(name, args.zoo) for name in names]

    map_size = None
    if args.report is not None or args.overlay is not None:
        from keras_vad.report import MAP_SIZE

        map_size = MAP_SIZE
    if args.server:
        scores, about = _score_served(video, args.server, args.model, args.timeout, map_size)
    else:
        load_tensorflow()
        scores, about = _score_in_process(video, names, trained, map_size)
    if scores.time_s is None:
        note = f"note: {video.name} has no clock, so its frames have numbers and no seconds; give --fps."
        print(note, file=sys.stderr)
    alarms = f"{len(scores)} frames scored, {int(scores.alarm.sum())} with an alarm."
    if args.csv is not None:
        write_csv(args.csv, scores)
        print(f"{args.csv}: {alarms}")
    if args.report is not None:
        from keras_vad.report import ReportedVideo, write_report

        title = f"{video.name}, scored by {' and '.join(Path(name).name for name in names)}"
        about |= {"video": str(args.video), "frames a second": video.fps}
        text = options.configs_of([one.run for one in trained])
        shown = [ReportedVideo(video, scores)]
        write_report(args.report, shown, title=title, about=about, config=text, overwrite=args.overwrite)
        print(f"{args.report}: {alarms}")
    if args.overlay is not None:
        from keras_vad.report import write_overlay

        count = write_overlay(args.overlay, video, scores, overwrite=args.overwrite)
        print(f"{args.overlay}: {count} frames.")
    return 0


def _score_served(
    video: "Video", server: str, model: str, timeout: float, map_size: tuple[int, int] | None
) -> "tuple[VideoScores, dict[str, object]]":
    import numpy as np

    from keras_vad.scoring.maps import reduce_maps
    from keras_vad.scoring.series import VideoScores

    try:
        from keras_vad_client import VadClient, VadClientError
    except ImportError as error:
        raise VadError(
            "--server needs the client, which is not installed; run pip install keras-vad-client."
        ) from error

    results, maps = [], []
    try:
        with VadClient(server, model, timeout=timeout) as client:
            client.wait_ready(0)  # a wrong address or name is an error at once
            for result in client.stream(video.frames, maps=map_size is not None):
                results.append((result.frame, result.raw, result.calibrated))
                if map_size is not None:
                    assert result.map is not None
                    maps.append(reduce_maps(result.map[np.newaxis], map_size))
    except VadClientError as error:
        raise VadError(str(error)) from error
    frames, raw, calibrated = zip(*results, strict=True)
    scores = VideoScores(
        frame_index=np.array(frames, np.int64),
        raw=np.array(raw, np.float32),
        calibrated=np.array(calibrated, np.float32),
        time_s=None if video.times is None else video.times[np.array(frames)],
        maps=np.concatenate(maps) if maps else None,
    )
    return scores, {"model": model, "server": server}


def _score_in_process(
    video: "Video", names: Sequence[str], trained: "Sequence[TrainedDetector]", map_size: tuple[int, int] | None
) -> "tuple[VideoScores, dict[str, object]]":
    from keras_vad.common.revision import git_revision
    from keras_vad.models.registry import by_method
    from keras_vad.scoring.combine import combine

    detectors = by_method([one.load() for one in trained])
    windows = [one.window for one in detectors.values()]
    weights = sum(math.prod(weight.shape) for one in detectors.values() for weight in one.trainable_weights)
    about: dict[str, object] = {
        "model": " + ".join(names),
        "method": " + ".join(detectors),
        "weights": f"{weights:,}",
        "input": " + ".join(f"{one.size[1]}x{one.size[0]} pixels, {len(one.frames)} frames" for one in windows),
        "code": git_revision(),
    }
    if len(trained) > 1:
        return combine({name: one.score_video(video) for name, one in detectors.items()}), about
    (detector,) = detectors.values()
    return detector.score_video(video, map_size=map_size), about


def write_csv(path: Path, scores: "VideoScores") -> None:
    """Write one row a scored frame; the file appears when it is complete.

    Args:
        path: The file.
        scores: The scores; ``time_s`` stays empty where the video has no clock.

    Raises:
        VadError: If the file cannot be written; nothing is left of it then.
    """
    lines = ["frame,time_s,raw_score,score,alarm"]
    times = [""] * len(scores) if scores.time_s is None else [f"{time:.3f}" for time in scores.time_s]
    rows = zip(scores.frame_index, times, scores.raw, scores.calibrated, scores.alarm, strict=True)
    for frame, time_s, raw, score, alarm in rows:
        # Nine digits hold every float32 exactly.
        lines.append(f"{frame},{time_s},{raw:.9g},{score:.9g},{alarm:d}")
    write_text(path, "\n".join(lines) + "\n")
