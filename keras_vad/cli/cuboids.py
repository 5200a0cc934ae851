"""Measure a detector of adaptive_clustering by its cuboids.

As its paper does: accuracy, F1, AUROC, threshold, counts.

Example:
  keras-vad cuboids --model adaptive_clustering_shapes --dataset shapes --data-dir shapes --json cuboids.json
"""

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_vad.cli import options
from keras_vad.cli.parser import from_one
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import write_text

if TYPE_CHECKING:
    from keras_vad.presets.resolve import TrainedDetector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_trained(parser)
    options.add_data(parser, key="; with pixel masks")
    parser.add_argument(
        "--minimum-share",
        metavar="SHARE",
        type=float,
        nargs="+",
        default=[0.0],
        help="a cuboid is anomalous if more than this share of its pixels is (default: 0, any pixel, as in the paper); "
        "above 0 those with fewer anomalous pixels count as normal, and in a second line are left out",
    )
    parser.add_argument(
        "--hop", metavar="N", type=from_one, help="frames between windows (default: the window's, without overlap)"
    )
    options.add_json(parser, "the figures")


def run(args: argparse.Namespace) -> int:
    """Score all cuboids, print the figures and write them where asked to."""
    from keras_vad.presets.resolve import resolve

    options.check_outputs(args, "json")
    trained = resolve(args.model, args.zoo)
    training = trained.origin.training or {}
    dataset = options.opened_data(args)

    load_tensorflow()
    from rich.progress import track

    from keras_vad.common.revision import git_revision
    from keras_vad.data.cache import FrameCache
    from keras_vad.evaluation.cuboids import cuboid_report
    from keras_vad.models.registry import method_of

    detector = trained.load()
    report = {
        "model": method_of(detector),
        "recipe": training.get("recipe"),
        "seed": training.get("seed"),
        "training_cuboids": _training_cuboids(trained, detector),
        "data_fingerprint": dataset.fingerprint(),
        "git": git_revision(),
        **cuboid_report(
            detector,
            dataset,
            FrameCache(),
            minimum_shares=args.minimum_share,
            hop=args.hop,
            track=partial(track, description="scoring"),
        ),
    }
    _print(report)
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=2, allow_nan=False) + "\n")
        print(f"all figures: {args.json}")
    return 0


def _training_cuboids(trained: "TrainedDetector", detector: Any) -> int | None:
    """Cuboids that training has seen, repeated ones each time; ``None`` if nothing says how many steps it had."""
    options = ((trained.origin.training or {}).get("options") or {}).get("training") or {}
    done = ({} if trained.run is None else trained.run.report()) or options
    if not done.get("epochs") or not done.get("steps_per_epoch"):
        return None
    of_window = detector.cuboids_per_window or detector.grid[0] * detector.grid[1]
    return int(done["epochs"] * done["steps_per_epoch"] * options["batch_size"] * of_window)


def _print(report: dict[str, Any]) -> None:
    """Two lines for each row: at the threshold with the best F1, and at the one from normal cuboids.

    The trivial scores have one each, as they have no threshold from normal cuboids.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report['model']} on {report['dataset']}: {report['cuboids']} cuboids; in %",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("anomalous", "AUROC", "T of", "T", "accuracy", "F1", "precision", "recall"):
        table.add_column(title, justify="right", no_wrap=True)

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2f}"

    for number, row in enumerate(report["by_minimum_share"]):
        about = [f"{row['anomalous']} (> {percent(row['minimum_share'])})", percent(row["auroc"])]
        lines = [(about, "best F1", "", row), (["", ""], "normal", "normal_", row)]
        for name, rows in report["trivial"].items():
            shown = [name.removeprefix("trivial_"), percent(rows[number]["auroc"])]
            lines.append((shown, "best F1", "", rows[number]))
        if row["partial"] == "left out":
            lines[1][0][0] = "partial left out"
        for shown, name, prefix, figures in lines:
            threshold = figures[f"{prefix}threshold"] if figures is row else None  # trivial ones have no unit to note
            cells = [percent(figures[prefix + figure]) for figure in ("accuracy", "f1", "precision", "recall")]
            table.add_row(*shown, name, "–" if threshold is None else f"{threshold:.2f}", *cells)
    Console().print(table)
