"""Measure a model of adaptive_clustering by its cuboids, as its paper does: accuracy, F1, AUROC, threshold, counts."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keras_vad.cli import load_tensorflow, run


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
    from keras_vad.data.cache import FrameCache
    from keras_vad.data.datasets import open_dataset
    from keras_vad.errors import VadError
    from keras_vad.evaluation.cuboids import cuboid_report
    from keras_vad.files import write_text
    from keras_vad.models.registry import model_key
    from keras_vad.versions import git_revision
    from keras_vad.zoo import origin_of

    if args.json is not None and args.json.exists() and not args.overwrite:
        raise VadError(f"{args.json} exists; choose another file or give --overwrite.")
    training = origin_of(args.model).training or {}
    detector = keras_vad.load(args.model)
    dataset = open_dataset(args.dataset, args.data_dir)
    report = {
        "model": model_key(detector),
        "recipe": training.get("recipe"),
        "seed": training.get("seed"),
        "training_cuboids": _training_cuboids(Path(args.model), training, detector),
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


def _training_cuboids(folder: Path, training: Mapping[str, Any], detector: Any) -> int | None:
    """Cuboids that training has seen, repeated ones each time; ``None`` if nothing says how many steps it had."""
    report, options = folder / "report.json", (training.get("options") or {}).get("training") or {}
    done = json.loads(report.read_text("utf-8")) if report.is_file() else options
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


if __name__ == "__main__":
    sys.exit(run(main))
