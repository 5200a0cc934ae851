"""Set a detector's alarm boundary by normal footage.

The boundary keeps a promised number of false alarms per hour, as far as the footage can tell.

Example:
  keras-vad calibrate --model runs/camera --dataset folder --data-dir normal --false-alarms-per-hour 0.5 --name camera
"""

import argparse
import json

from keras_vad.cli import options
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder, write_text
from keras_vad.common.names import check_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    options.add_trained(parser)
    options.add_data(parser, folder="its folder; its training videos are the normal footage")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--false-alarms-per-hour", type=float, metavar="R", help="alarms that normal footage may raise")
    how.add_argument("--alarm-quantile", type=float, metavar="Q", help="share of normal frames below the boundary")
    options.add_boundary(parser)
    options.add_fps(parser)
    add("--name", required=True, help="export the calibrated model to the zoo under this name, as its next version")
    options.add_json(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Calibrate, say what the footage promises, and export."""
    from keras_vad.presets.resolve import resolve

    check_name(args.name)
    dataset = options.opened_data(args)
    options.check_outputs(args, "json")
    check_folder(args.zoo / args.name)
    trained = resolve(args.model, args.zoo)

    load_tensorflow()
    from keras_vad.artifacts.saved_model import export
    from keras_vad.data import FrameCache, unseen_footage
    from keras_vad.scoring.calibrate import told_calibration

    detector = trained.load()
    cache = FrameCache()
    normal, notes = unseen_footage(trained.origin.training, dataset)
    videos = [cache.get(video, detector.window.size) for video in normal]
    quantile = {} if args.alarm_quantile is None else {"alarm_quantile": args.alarm_quantile}
    promise = {"false_alarms_per_hour": args.false_alarms_per_hour, "boundary": args.boundary or "empirical"}
    fps = args.fps or options.rate_of_training(trained.origin.training)
    report = detector.calibrate(videos, **promise, fps=fps, **quantile)
    print("\n".join([*(f"note: {note}" for note in notes), *told_calibration(report)]))
    version = export(detector, args.zoo, args.name, calibration=report, training=trained.origin.training)
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=2) + "\n")
    print(f"exported: {version}")
    return 0
