"""Measure a trained detector, or two as one, on test videos.

Trivial baselines stand beside it.

Example:
  keras-vad evaluate --model adv3dcae_ucsdped2 --dataset ucsdped2 --data-dir UCSDped2 --json out.json
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.cli import options
from keras_vad.cli.parser import from_one
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder, check_output, write_text
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.artifacts.run_folder import RunFolder
    from keras_vad.data.base import VideoDataset
    from keras_vad.evaluation.evaluate import EvaluationReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    options.add_trained(parser)
    options.add_second(parser)
    options.add_data(parser)
    add(
        "--smoothing",
        metavar="N",
        type=from_one,
        help="also measure a causal mean over N frames (default: the recipe's, of two the longer one; 1, none, for "
        "a single file)",
    )
    options.add_fps(parser)
    add("--report", metavar="HTML", type=Path, help="write a page with curves, events and frames")
    options.add_json(parser, "all figures, of every video too")
    add("--results", metavar="CSV", type=Path, help="put the rows into this table, as zoo/results.csv")
    add("--recipe", help="recipe it was trained with, for the table (default: what is known)")
    add("--seed", type=int, help="seed it was trained with, for the table (default: what is known)")
    add(
        "--log",
        metavar="DIR",
        type=Path,
        help="write or refresh its log, such as zoo/logs/RUN: configuration and metrics of the run folder, a summary",
    )
    add("--no-baselines", action="store_true", help="leave the trivial baselines out")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the figures and write them where asked to."""
    from keras_vad.presets.resolve import resolve

    options.check_outputs(args, "json", "report")
    if args.results is not None:
        from keras_vad.evaluation.results import read_results

        read_results(args.results)  # a table with other columns must not stop the command after an hour of scoring
        check_output(args.results, overwrite=True)
    if args.log is not None:
        check_folder(args.log)
    trained = [resolve(name, args.zoo) for name in (args.model, args.second) if name is not None]
    runs = [one.run for one in trained]
    trainings = [one.origin.training or {} for one in trained]
    smoothings = [((training.get("options") or {}).get("scoring") or {}).get("smoothing", 1) for training in trainings]
    smoothing = max(smoothings) if args.smoothing is None else args.smoothing
    fps = args.fps or next(filter(None, map(options.rate_of_training, trainings)), None)
    recipes, seeds = [training.get("recipe") or "" for training in trainings], {one.get("seed") for one in trainings}
    if args.results is not None and args.seed is None and len(seeds) > 1:
        raise VadError("the two models do not tell one and the same seed, but the table has one; give --seed.")
    dataset = options.opened_data(args)

    load_tensorflow()
    from rich.progress import track

    from keras_vad.data.cache import FrameCache
    from keras_vad.evaluation.evaluate import evaluate
    from keras_vad.evaluation.results import update_results
    from keras_vad.evaluation.run_log import told_command, write_log
    from keras_vad.report import MAP_SIZE

    detectors = [one.load() for one in trained]
    report = evaluate(
        detectors[0],
        dataset,
        FrameCache(),
        smoothing,
        second=detectors[1] if args.second is not None else None,
        recipe=("+".join(recipes) if all(recipes) else "") if args.recipe is None else args.recipe,
        seed=(seeds.pop() if len(seeds) == 1 else None) if args.seed is None else args.seed,
        log=_told_log(args.log, args.results),
        baselines=not args.no_baselines,
        fps=fps,
        map_size=None if args.report is None else MAP_SIZE,
        track=partial(track, description="scoring"),
    )
    _print(report)
    if args.json is not None:
        write_text(args.json, report.to_json())
        print(f"all figures: {args.json}")
    if args.log is not None:
        write_log(
            args.log,
            json.loads(report.to_json()),
            run=runs[0].path if args.second is None and runs[0] is not None else None,
            parts=[] if args.second is None else [Path(name).name for name in (args.model, args.second)],
            command=told_command(args.words),
        )
        print(f"log: {args.log}")
    if args.results is not None:
        update_results(args.results, report.rows)
        print(f"table of results: {args.results}")
    if args.report is not None:
        _write_page(args.report, report, dataset, runs, args.overwrite)
        print(f"page: {args.report}")
    return 0


def _told_log(log: Path | None, results: Path | None) -> str:
    """The path of a log as the table has it: from the folder above the one that the table lies in."""
    if log is None:
        return ""
    root = Path.cwd() if results is None else results.resolve().parent.parent
    return log.resolve().relative_to(root).as_posix() if log.resolve().is_relative_to(root) else log.name


def _write_page(
    path: Path, report: "EvaluationReport", dataset: "VideoDataset", runs: "Sequence[RunFolder | None]", overwrite: bool
) -> None:
    from keras_vad.report import ReportedVideo, write_report

    labelled = [video for video, labels in dataset.test_videos() if labels is not None]
    videos = [ReportedVideo(*one) for one in zip(labelled, report.scores, report.labels, strict=True)]
    title = f"{report.about['model']} on {report.about['dataset']}"
    text = options.configs_of(runs)
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
