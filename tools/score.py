"""Score a video, frame by frame: with a served model (--server), or with the model loaded into this process.

Example: python tools/score.py clip.mp4 --server localhost:8500 --model adv3dcae_ucsdped2 --csv scores.csv

A report (--report) is a page to look at in a browser; an overlay (--overlay) is the video with what was found drawn in.
"""

import argparse
import math
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
    parser.add_argument(
        "--with",
        dest="second",
        metavar="PATH_OR_NAME",
        help="give the two-part score with this model, of another method, without --server (see docs/evaluation.md)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where to write the scores")
    parser.add_argument("--report", type=Path, metavar="HTML", help="where to write a page with curve, events, frames")
    parser.add_argument("--overlay", type=Path, metavar="MP4", help="where to write the video with maps and scores")
    parser.add_argument("--server", metavar="HOST:PORT", help="gRPC server to ask (default: score in this process)")
    parser.add_argument("--zoo", default="zoo", type=Path, help="zoo folder, without --server (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one request (default: %(default)g)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args(argv)
    outputs = [path for path in (args.csv, args.report, args.overlay) if path is not None]
    if not outputs:
        raise VadError("there is nothing to write; pass --csv, --report or --overlay with the name of a file.")
    for path in outputs:
        if path.exists() and not args.overwrite:
            raise VadError(f"{path} exists; pass --overwrite to replace it, or name another file.")
    if args.overlay is not None and args.overlay.suffix.lower() != ".mp4":
        raise VadError(f"--overlay is {args.overlay}, but must be the name of an .mp4 file.")
    models = [args.model] if args.second is None else [args.model, args.second]
    if args.second is not None and args.server:
        raise VadError("a server scores with one model, but --with names a second; leave out --server or --with.")
    if args.second is not None and args.overlay is not None:
        raise VadError("a two-part score has no maps, which --overlay draws; leave out --with or --overlay.")

    load_tensorflow()
    from keras_vad.data.video import open_video
    from keras_vad.scoring.events import alarm_events, doubt_of

    video = open_video(args.video)
    map_size = _map_size() if args.report is not None or args.overlay is not None else None
    trained_on = None if args.server else _trained_on(models, args.zoo)
    scores, about = (
        _score_served(video, args.server, args.model, args.timeout, map_size)
        if args.server
        else _score_in_process(video, models, args.zoo, map_size)
    )
    events = alarm_events(scores)
    alarms = f"{len(scores)} frames scored, {int(scores.alarm.sum())} with an alarm, "
    alarms += "1 event." if len(events) == 1 else f"{len(events)} events."
    doubt = doubt_of([scores], trained_on)
    if args.csv is not None:
        write_csv(args.csv, scores, video.fps)
        print(f"{args.csv}: {alarms}")
    if args.report is not None:
        from keras_vad.report import ReportedVideo, write_report

        title = f"{video.name}, scored by {' and '.join(Path(model).name for model in models)}"
        about |= {"video": str(args.video), "frames a second": video.fps}
        configs = [] if args.server else [Path(model) / "config.yaml" for model in models]
        text = "\n".join(config.read_text("utf-8") for config in configs if config.is_file()) or None
        shown = [ReportedVideo(video, scores)]
        write_report(args.report, shown, title=title, about=about, config=text, overwrite=args.overwrite)
        print(f"{args.report}: {alarms}")
    if args.overlay is not None:
        from keras_vad.report import write_overlay

        count = write_overlay(args.overlay, video, scores, overwrite=args.overwrite)
        print(f"{args.overlay}: {count} frames.")
    if doubt is not None:
        print(f"note: {doubt}")
    return 0


def _trained_on(models: Sequence[str], zoo: Path) -> str | None:
    """The public data set that all models were trained on, if they tell of one."""
    from keras_vad.zoo import origin_of

    told = {(origin_of(model, zoo).training or {}).get("dataset") for model in models}
    return told.pop() if len(told) == 1 and "folder" not in told else None


def _map_size() -> tuple[int, int]:
    from keras_vad.report import MAP_SIZE

    return MAP_SIZE


def _score_served(
    video: "Video", server: str, model: str, timeout: float, map_size: tuple[int, int] | None
) -> "tuple[VideoScores, dict[str, object]]":
    import numpy as np

    from keras_vad.scoring.maps import reduce_maps
    from keras_vad.scoring.series import VideoScores

    try:
        from keras_vad_client import VadClient, VadClientError
    except ImportError as error:
        raise VadError("keras_vad_client is not installed, but --server needs it; run make venv.") from error

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
        maps=np.concatenate(maps) if maps else None,
    )
    return scores, {"model": model, "server": server}


def _score_in_process(
    video: "Video", models: Sequence[str], zoo: Path, map_size: tuple[int, int] | None
) -> "tuple[VideoScores, dict[str, object]]":
    import keras_vad
    from keras_vad.models.registry import by_method
    from keras_vad.scoring.combine import combine
    from keras_vad.versions import git_revision

    detectors = by_method([keras_vad.load(model, zoo) for model in models])
    windows = [one.window for one in detectors.values()]
    weights = sum(math.prod(weight.shape) for one in detectors.values() for weight in one.trainable_weights)
    about: dict[str, object] = {
        "model": " + ".join(models),
        "method": " + ".join(detectors),
        "weights": f"{weights:,}",
        "input": " + ".join(f"{one.size[1]}x{one.size[0]} pixels, {len(one.frames)} frames" for one in windows),
        "code": git_revision(),
    }
    if len(models) > 1:
        return combine({name: one.score_video(video) for name, one in detectors.items()}), about
    (detector,) = detectors.values()
    return detector.score_video(video, map_size=map_size), about


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
