"""Evaluate a model, or two as one, on the test videos of a data set, with the trivial baselines beside it."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.cli import load_tensorflow, run

if TYPE_CHECKING:
    from keras_vad.data.base import VideoDataset
    from keras_vad.evaluation.evaluate import EvaluationReport


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate, print the figures and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--model", metavar="PATH_OR_NAME", required=True, help="a model's name, run folder, .keras file or zoo folder"
    )
    parser.add_argument(
        "--with",
        dest="second",
        metavar="PATH_OR_NAME",
        help="evaluate the two-part score with this model, of another method (see docs/evaluation.md)",
    )
    parser.add_argument("--dataset", metavar="KEY", required=True, help="shapes, ucsdped1, ucsdped2 or folder")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, required=True, help="where the data set lies")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures, of every video too")
    parser.add_argument(
        "--smoothing",
        metavar="N",
        type=int,
        help="also measure a causal mean over N frames (default: the recipe's, of two the longer one; 1, none, without "
        "a run folder)",
    )
    parser.add_argument("--fps", type=float, help="frames a second of videos that do not tell theirs")
    parser.add_argument("--results", metavar="CSV", type=Path, help="put the rows into this table, as zoo/results.csv")
    parser.add_argument("--recipe", help="recipe it was trained with, for the table (default: the run folder's)")
    parser.add_argument("--seed", type=int, help="seed it was trained with, for the table (default: the run folder's)")
    parser.add_argument("--log", default="", help="path of its training log in the repository, for the table")
    parser.add_argument("--report", metavar="HTML", type=Path, help="write a page with curves, events and frames")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file and the page if they exist")
    args = parser.parse_args(argv)

    load_tensorflow()
    import yaml
    from rich.progress import track

    import keras_vad
    from keras_vad.data.cache import FrameCache
    from keras_vad.data.datasets import open_dataset
    from keras_vad.errors import VadError
    from keras_vad.evaluation.evaluate import evaluate
    from keras_vad.evaluation.results import read_results, update_results
    from keras_vad.files import write_text
    from keras_vad.report import MAP_SIZE

    models = [args.model] if args.second is None else [args.model, args.second]
    configs = [Path(model) / "config.yaml" for model in models]
    runs = [yaml.safe_load(config.read_text("utf-8")) if config.is_file() else {} for config in configs]
    smoothings = [run.get("scoring", {}).get("smoothing", 1) for run in runs]
    smoothing = max(smoothings) if args.smoothing is None else args.smoothing
    recipes, seeds = [run.get("recipe", "") for run in runs], {run.get("seed") for run in runs}
    if smoothing < 1:
        raise VadError(f"--smoothing is {smoothing}, but must be at least 1 frame (no smoothing).")
    if args.fps is not None and args.fps <= 0:
        raise VadError(f"--fps is {args.fps:g}, but must be above 0.")
    for file in (args.json, args.report):
        if file is not None and file.exists() and not args.overwrite:
            raise VadError(f"{file} exists; choose another file or give --overwrite.")
    if args.results is not None:
        read_results(args.results)  # a table with other columns must not stop the tool after an hour of scoring
        if args.seed is None and len(seeds) > 1:
            raise VadError("the two models do not tell one and the same seed, but the table has one; give --seed.")
    detectors, dataset = [keras_vad.load(model) for model in models], open_dataset(args.dataset, args.data_dir)
    report = evaluate(
        detectors[0],
        dataset,
        FrameCache(),
        smoothing,
        second=detectors[1] if args.second is not None else None,
        recipe=("+".join(recipes) if all(recipes) else "") if args.recipe is None else args.recipe,
        seed=(seeds.pop() if len(seeds) == 1 else None) if args.seed is None else args.seed,
        log=args.log,
        fps=args.fps,
        map_size=None if args.report is None else MAP_SIZE,
        track=partial(track, description="scoring"),
    )
    _print(report)
    if args.json is not None:
        write_text(args.json, report.to_json())
        print(f"all figures: {args.json}")
    if args.results is not None:
        update_results(args.results, report.rows)
        print(f"table of results: {args.results}")
    if args.report is not None:
        _write_page(args.report, report, dataset, configs, args.overwrite)
        print(f"page: {args.report}")
    return 0


def _write_page(
    path: Path, report: "EvaluationReport", dataset: "VideoDataset", configs: Sequence[Path], overwrite: bool
) -> None:
    from keras_vad.report import ReportedVideo, write_report

    labelled = [video for video, labels in dataset.test_videos() if labels is not None]
    videos = [ReportedVideo(*one) for one in zip(labelled, report.scores, report.labels, strict=True)]
    title = f"{report.about['model']} on {report.about['dataset']}"
    text = "\n".join(config.read_text("utf-8") for config in configs if config.is_file()) or None
    write_report(path, videos, title=title, about=report.about, config=text, overwrite=overwrite)


def _print(report: "EvaluationReport") -> None:
    """A table that fits a terminal of 80 columns, figures in percent; the rest is in the JSON file."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    n_frames, anomalous = sum(map(len, report.labels)), sum(int(labels.sum()) for labels in report.labels)
    table = Table(
        title=f"{report.about['model']} on {report.about['dataset']}: {len(report.labels)} test videos, "
        f"{n_frames} frames, {anomalous} anomalous; in %",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    smoothed = any(row["smoothing"] > 1 for row in report.rows)
    titles = ["score", "protocol", *(["mean of"] if smoothed else [])]
    figures = {
        "AUROC": "auroc_micro",
        "macro": "auroc_macro",
        "AP": "ap",
        "EER": "eer",
    }
    for title in titles:
        table.add_column(title, no_wrap=True)
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    in_baselines = False
    for row in report.rows:
        name = row["score"]
        if row["model"].startswith("trivial_"):
            name = row["model"].removeprefix("trivial_")
            if not in_baselines:
                table.add_section()
                table.add_row("trivial baselines:")
            in_baselines = True
        cells = [name, row["protocol"], *([str(row["smoothing"])] if smoothed else [])]
        cells += ["–" if row[key] is None else f"{100 * row[key]:.1f}" for key in figures.values()]
        table.add_row(*cells)
    Console().print(table)
    for row in report.rows:
        if row["calibrated"] and row["smoothing"] == 1:
            Console().print("\n".join(_told(row)), highlight=False)


def _told(row: dict[str, Any]) -> list[str]:
    """Sentences about the own, calibrated score: how sure its AUROC is, its alarms, its maps."""

    def percent(key: str) -> str:
        return "–" if row[key] is None else f"{100 * row[key]:.1f}"

    from keras_vad.evaluation.event_figures import told_events

    lines = [
        f"AUROC {percent('auroc_micro')} %, 95 % interval over the videos {percent('auroc_micro_low')} to "
        f"{percent('auroc_micro_high')}.",
        f"At the alarm boundary: accuracy {percent('accuracy')} %, F1 {percent('f1')} % (flagging every frame: "
        f"{percent('f1_throughout')} %), {percent('false_positive_rate')} % of the normal frames flagged.",
        *told_events(row),
    ]
    if row["pixel_auroc"] is not None:
        lines.append(f"Maps: pixel AUROC {percent('pixel_auroc')}, RBDC {percent('rbdc')}, TBDC {percent('tbdc')} %.")
    return lines


if __name__ == "__main__":
    sys.exit(run(main))
