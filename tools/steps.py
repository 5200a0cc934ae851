"""Measure what rescaling test videos, looking ahead and choosing by test labels add to the AUROC of detectors.

The last two steps are chosen by the labels of the test videos: a demonstration of what not to do.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate, print the table and write its figures in place of those of the same data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--model", metavar="PATH_OR_NAME", nargs="+", required=True, help="presets, run folders or .keras files"
    )
    parser.add_argument("--dataset", metavar="KEY", required=True, help="shapes, ucsdped1, ucsdped2 or folder")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, required=True, help="where the data set lies")
    parser.add_argument(
        "--table", metavar="CSV", type=Path, default=ROOT / "zoo" / "steps.csv", help="default: zoo/steps.csv"
    )
    args = parser.parse_args(argv)

    load_tensorflow()
    import keras
    from rich.progress import track

    from keras_vad.data.cache import FrameCache
    from keras_vad.data.datasets import open_dataset
    from keras_vad.evaluation.evaluate import FRAME_SCORES, evaluate
    from keras_vad.evaluation.results import ROW_NORMALISED_FLOW
    from keras_vad.evaluation.steps import published_steps, read_steps, render_steps, write_steps
    from keras_vad.evaluation.trivial import TRIVIAL_BASELINES
    from keras_vad.presets.resolve import resolve

    dataset, cache = open_dataset(args.dataset, args.data_dir), FrameCache()
    rows = []
    for number, model in enumerate(args.model):
        keras.utils.clear_session()
        trained, first = resolve(model), number == 0
        detector = trained.load()
        progress = partial(track, description=f"scoring with {model}")
        report = evaluate(detector, dataset, cache, baselines=first, track=progress)
        own = report.about["model"]
        series = {name: each for (made_by, name), each in report.series.items() if made_by == own}
        found = [(str(trained.origin), own, detector.paper_rescaling, series)]
        if first:
            trivial = {name: report.series[name, FRAME_SCORES] for name in TRIVIAL_BASELINES}
            flow = trivial.pop(ROW_NORMALISED_FLOW)
            found.append(("", ROW_NORMALISED_FLOW, "min_max", {FRAME_SCORES: flow, **trivial}))
        for preset, name, rescaling, scores in found:
            parts = {part: each for part, each in scores.items() if part != FRAME_SCORES}
            for step in published_steps(scores[FRAME_SCORES], parts, report.labels, rescaling):
                figure = "" if step.auroc_micro is None else f"{step.auroc_micro:.4f}"
                about = {"dataset": dataset.name, "data_fingerprint": report.about["data_fingerprint"]}
                about |= {"preset": preset, "model": name, "git": report.about["git"] or ""}
                rows.append({**about, "step": step.name, "auroc_micro": figure, "chosen": step.chosen})
    rows.sort(key=lambda row: not row["preset"])  # the trivial baselines last
    print(render_steps(rows, dataset.name))
    write_steps(args.table, [*(row for row in read_steps(args.table) if row["dataset"] != dataset.name), *rows])
    print(f"figures: {args.table}; python tools/results.py puts them into the documents")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
