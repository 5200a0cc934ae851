"""Set a trained detector's alarm boundary by normal footage: for a promised number of false alarms per hour.

Example: python tools/calibrate.py --model runs/camera --dataset folder --data-dir normal --false-alarms-per-hour 0.5 \
    --name camera
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli import load_tensorflow, run
from keras_vad.errors import VadError


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate, say what the footage promises, and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, metavar="PATH_OR_NAME", help="a name in the zoo, a run folder or a .keras file")
    add("--dataset", required=True, metavar="KEY", help="shapes, ucsdped1, ucsdped2 or folder")
    add("--data-dir", required=True, type=Path, metavar="DIR", help="its training videos are the normal footage")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--false-alarms-per-hour", type=float, metavar="R", help="alarms that normal footage may raise")
    how.add_argument("--alarm-quantile", type=float, metavar="Q", help="share of normal frames below the boundary")
    add(
        "--boundary", choices=["empirical", "tail"], default="empirical", help="how the boundary for that rate is found"
    )
    add("--fps", type=float, help="frames a second of videos that do not tell theirs")
    add("--name", required=True, help="export the calibrated model under this name, as its next version")
    add("--output", type=Path, default=Path("zoo"), metavar="DIR", help="zoo folder (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures, too")
    args = parser.parse_args(argv)
    if args.fps is not None and args.fps <= 0:
        raise VadError(f"--fps is {args.fps:g}, but must be above 0.")
    if args.json is not None and args.json.exists():
        raise VadError(f"{args.json} exists; name another file.")

    load_tensorflow()
    import keras_vad
    from keras_vad.data import FrameCache, open_dataset, unseen_footage
    from keras_vad.export import check_name, export
    from keras_vad.files import write_text
    from keras_vad.scoring.calibrate import told_calibration
    from keras_vad.zoo import origin_of

    check_name(args.name)
    dataset = open_dataset(args.dataset, args.data_dir)
    detector = keras_vad.load(args.model, args.output)
    cache = FrameCache()
    training = origin_of(args.model, args.output).training
    normal, notes = unseen_footage(training, dataset)
    videos = [cache.get(video, detector.window.size) for video in normal]
    quantile = {} if args.alarm_quantile is None else {"alarm_quantile": args.alarm_quantile}
    promise = {"false_alarms_per_hour": args.false_alarms_per_hour, "boundary": args.boundary}
    report = detector.calibrate(videos, **promise, fps=args.fps, **quantile)
    print("\n".join([*(f"note: {note}" for note in notes), *told_calibration(report)]))
    version = export(detector, args.output, args.name, calibration=report, training=training)
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=2) + "\n")
    print(f"exported: {version}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
