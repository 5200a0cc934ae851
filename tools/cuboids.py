"""Measure a model of adaptive_clustering by its cuboids, as its paper does: accuracy, F1, AUROC, threshold, counts."""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.cli.process import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Score all cuboids, print the figures and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--model", metavar="PATH_OR_NAME", required=True, help="a model's name, run folder, .keras file or zoo folder"
    )
    parser.add_argument("--dataset", metavar="KEY", required=True, help="a data set with pixel masks, such as shapes")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, required=True, help="where the data set lies")
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
        "--window-step", metavar="N", type=int, help="frames between windows (default: the window's, without overlap)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")
    args = parser.parse_args(argv)

    load_tensorflow()
    from rich.progress import track

    import keras_vad
    from keras_vad.common.files import write_text
    from keras_vad.common.revision import git_revision
    from keras_vad.data.cache import FrameCache
    from keras_vad.data.datasets import open_dataset
    from keras_vad.errors import VadError
    from keras_vad.evaluation.cuboids import cuboid_report
    from keras_vad.models.registry import model_key

    if args.json is not None and args.json.exists() and not args.overwrite:
        raise VadError(f"{args.json} exists; choose another file or give --overwrite.")
    folder = RunFolder(args.model)
    run = folder.config()
    detector = keras_vad.load(args.model)
    dataset = open_dataset(args.dataset, args.data_dir)
    report = {
        "model": model_key(detector),
        "recipe": run.get("recipe"),
        "seed": run.get("seed"),
        "training_cuboids": _training_cuboids(folder, detector),
        "data_fingerprint": dataset.fingerprint(),
        "git": git_revision(),
        **cuboid_report(
            detector,
            dataset,
            FrameCache(),
            minimum_shares=args.minimum_share,
            window_step=args.window_step,
            track=partial(track, description="scoring"),
        ),
    }
    _print(report)
    if args.json is not None:
        write_text(args.json, json.dumps(report, indent=2, allow_nan=False) + "\n")
        print(f"all figures: {args.json}")
    return 0


def _training_cuboids(folder: RunFolder, detector: Any) -> int | None:
    """Cuboids that training has seen, repeated ones each time; ``None`` without a run folder."""
    done = folder.report()
    if not done:
        return None
    of_window = detector.cuboids_per_window or detector.grid[0] * detector.grid[1]
    return int(done["epochs"] * done["steps_per_epoch"] * folder.config()["training"]["batch_size"] * of_window)


def _print(report: dict[str, Any]) -> None:
    """Two lines for each row: at the threshold with the best F1, and at the one from normal cuboids."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report['model']} on {report['dataset']}: {report['cuboids']} cuboids; in %",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("anomalous", "AUROC", "threshold", "T", "accuracy", "F1", "precision", "recall"):
        table.add_column(title, justify="right", no_wrap=True)

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2f}"

    for row in report["by_minimum_share"]:
        about = [f"{row['anomalous']} (> {percent(row['minimum_share'])})", percent(row["auroc"])]
        for name, prefix in (("best F1", ""), ("normal", "normal_")):
            threshold = row[f"{prefix}threshold"]
            figures = [percent(row[prefix + figure]) for figure in ("accuracy", "f1", "precision", "recall")]
            table.add_row(*about, name, "–" if threshold is None else f"{threshold:.2f}", *figures)
            about = ["partial left out" if row["partial"] == "left out" else "", ""]
    Console().print(table)


if __name__ == "__main__":
    sys.exit(run(main))
