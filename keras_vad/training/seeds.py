"""The same training with several seeds, and what its figures are on average."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import write_text
from keras_vad.data import FrameCache, open_dataset
from keras_vad.errors import VadError
from keras_vad.evaluation.evaluate import evaluate
from keras_vad.presets.resolve import load
from keras_vad.training.run import RunOptions, check_same_run, run_training

#: Figures that are averaged, with the names they are printed by.
AVERAGED = {
    "auroc_micro": "AUROC",
    "auroc_macro": "macro AUROC",
    "ap": "AP",
    "eer": "EER",
    "f1": "F1",
    "pixel_auroc": "pixel AUROC",
    "rbdc": "RBDC",
    "tbdc": "TBDC",
}


def run_seeds(options: RunOptions, seeds: Sequence[int], cache: FrameCache | None = None) -> list[dict[str, Any]]:
    """Train and evaluate with every seed; what has been done already is not done again.

    Args:
        options: Of a run; ``run_dir`` is the folder of seed N with ``{seed}`` in place of N, and nothing is exported.
        seeds: Each once.
        cache: Where decoded frames are kept; the user's cache by default.

    Returns:
        The evaluation of every seed, as ``EvaluationReport.to_json`` writes it into the run folder; the first one with
        the trivial baselines.

    Raises:
        VadError: If a seed is given twice, a run cannot be made, or a folder holds another run.
    """
    if len(set(seeds)) < len(seeds):
        raise VadError(f"seeds are {', '.join(map(str, seeds))}, but each must be given once.")
    cache = cache or FrameCache()
    dataset = open_dataset(options.dataset, options.data_dir)
    evaluations = []
    for seed in seeds:
        folder = Path(str(options.run_dir).format(seed=seed))
        one = dataclasses.replace(options, seed=seed, run_dir=folder, output=None)
        keras.utils.clear_session()
        run = RunFolder(folder)
        if run.finished:
            check_same_run(one, dataset)
        else:
            run.evaluation_file.unlink(missing_ok=True)
            run_training(dataclasses.replace(one, resume=run.started), cache)
        if not run.evaluation_file.exists():
            report = evaluate(
                load(folder),
                dataset,
                cache,
                options.recipe.scoring.smoothing,
                recipe=options.recipe_name,
                seed=seed,
                baselines=seed == seeds[0],
                fps=options.recipe.data.fps,
            )
            write_text(run.evaluation_file, report.to_json())
        evaluations.append(json.loads(run.evaluation_file.read_text("utf-8")))
    return evaluations


def averaged(evaluations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over seeds, for every score, protocol and smoothing.

    Args:
        evaluations: Of ``run_seeds``.

    Returns:
        Rows with ``model``, ``score``, ``protocol``, ``smoothing``, ``seeds`` (their number), and for each figure of
        ``AVERAGED`` its mean, and with ``_std`` its standard deviation (n - 1): ``None`` where a seed lacks the figure,
        the deviation also where there is one seed only. In the order of the first evaluation.

    Example:
    >>> row = {"model": "m", "score": "frame_scores", "protocol": "paper", "smoothing": 1} | dict.fromkeys(AVERAGED)
    >>> rows = averaged([{"rows": [row | {"eer": 0.25}]}, {"rows": [row | {"eer": 0.75}]}])
    >>> rows[0]["seeds"], rows[0]["eer"], round(rows[0]["eer_std"], 3), rows[0]["ap"]
    (2, 0.5, 0.354, None)
    """
    key = ("model", "score", "protocol", "smoothing")
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for evaluation in evaluations:
        for row in evaluation["rows"]:
            groups.setdefault(tuple(row[name] for name in key), []).append(row)
    table = []
    for names, rows in groups.items():
        line: dict[str, Any] = {**dict(zip(key, names, strict=True)), "seeds": len(rows)}
        for figure in AVERAGED:
            values = [row[figure] for row in rows]
            known = None not in values
            line[figure] = float(np.mean(values)) if known else None
            line[f"{figure}_std"] = float(np.std(values, ddof=1)) if known and len(values) > 1 else None
        table.append(line)
    return table
