"""Train a detector, calibrate it on held-out normal videos and export it to the zoo.

Examples: python tools/train.py --model adv3dcae --dataset ucsdped2 --data-dir UCSDped2 --recipe compact
          python tools/train.py --from adv3dcae_ucsdped2 --dataset folder --data-dir videos --name my_camera
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vad.cli import load_tensorflow, run
from keras_vad.errors import VadError

if TYPE_CHECKING:
    from keras_vad.training.source import Source


def main(argv: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model", help="name of the method, for example adv3dcae")
    add("--from", dest="source", metavar="NAME", help="start from this trained model: a preset, a run folder, a file")
    add("--dataset", required=True, help="shapes, ucsdped1, ucsdped2 or folder")
    add("--data-dir", required=True, type=Path, help="folder of the data set")
    add(
        "--recipe",
        help="recipe name, YAML file, or compact for MODEL_DATASET_compact (default: MODEL_DATASET, or with --from "
        "half the epochs of that model's own at a third of the learning rate)",
    )
    add("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", help="override an option of the recipe")
    add("--strategy", choices=["auto", "mirrored", "none"], default="auto", help="distribution (default: %(default)s)")
    add("--devices", type=int, help="number of GPUs, or of logical CPU devices where there are none")
    add("--epochs", type=int, help="epochs in all")
    add("--batch-size", type=int, help="windows of a batch, on all devices together")
    add("--precision", choices=["float32", "mixed_bfloat16", "mixed_float16"], help="precision of training")
    add("--false-alarms-per-hour", type=float, metavar="R", help="alarms that held-out normal video may raise per hour")
    add(
        "--boundary", choices=["empirical", "tail"], help="how the boundary for that rate is found (default: empirical)"
    )
    add("--fps", type=float, help="frames a second of videos that do not tell theirs")
    one_or_more = parser.add_mutually_exclusive_group()
    one_or_more.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    one_or_more.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        metavar="SEED",
        help="train with each, evaluate on the test videos and print means and deviations; nothing is exported",
    )
    add("--output", type=Path, default=Path("zoo"), help="zoo folder to export to (default: %(default)s)")
    add("--no-export", action="store_true", help="do not export; the run folder holds detector.keras all the same")
    add("--name", help="name of the exported model (default: the recipe's name, or with --from NAME_DATASET)")
    add("--run-dir", type=Path, help="run folder (default: runs/RECIPE-seedSEED)")
    add("--resume", action="store_true", help="go on with the run in the run folder")
    args = parser.parse_args(argv)
    if args.model is None and args.source is None:
        parser.error("--model or --from is required")

    load_tensorflow()
    from keras_vad.data import open_dataset
    from keras_vad.models.registry import get_model
    from keras_vad.training.recipe import find_recipe, load_recipe, recipe_stem
    from keras_vad.training.run import RunOptions, run_training
    from keras_vad.training.seeds import run_seeds

    if args.model is not None:
        get_model(args.model)
    open_dataset(args.dataset, args.data_dir)  # an unknown one is named before its recipe is looked for
    overrides = list(args.set)
    for option in ("epochs", "batch_size", "precision", "false_alarms_per_hour", "boundary"):
        value = getattr(args, option)
        if value is not None:
            overrides.append(f"training.{option}={value}")
    if args.fps is not None:
        overrides.append(f"data.fps={args.fps}")
    source = None if args.source is None else _open_source(args)
    model = args.model if source is None else source.method
    if source is not None and args.recipe is None:
        stem, recipe = f"{source.origin.name}_{args.dataset}", source.recipe(overrides)
    else:
        name = find_recipe(args.recipe, model, args.dataset)
        stem, recipe = recipe_stem(name), load_recipe(name, overrides)
    if source is not None:
        recipe = source.fitted(recipe)
    run_dir = args.run_dir or Path("runs") / f"{stem}-seed{args.seed}"
    options = RunOptions(
        model=model,
        dataset=args.dataset,
        data_dir=args.data_dir,
        recipe_name=stem,
        recipe=recipe,
        seed=args.seed,
        strategy=args.strategy,
        devices=args.devices,
        run_dir=run_dir,
        output=None if args.no_export else args.output,
        name=args.name or stem,
        resume=args.resume,
        source=source,
    )
    if args.seeds is not None:
        folder = Path("runs") / f"{stem}-seed{{seed}}" if args.run_dir is None else args.run_dir / "seed{seed}"
        _print_averages(run_seeds(replace(options, run_dir=folder), args.seeds))
        return 0
    version = run_training(options)
    print(f"run: {run_dir}")
    if version is not None:
        print(f"exported: {version}")
    return 0


def _open_source(args: argparse.Namespace) -> "Source":
    """The trained detector that ``--from`` names, of the method that ``--model`` names, if it does."""
    from keras_vad.training.source import open_source
    from keras_vad.training.strategy import make_strategy

    make_strategy(args.strategy, args.devices)  # the CPU is split before TensorFlow is first used, as it is now
    source = open_source(args.source, args.output)
    if args.model not in (None, source.method):
        raise VadError(f"{args.source} is of {source.method}, but --model is {args.model}; leave --model out.")
    return source


def _print_averages(evaluations: list[dict[str, Any]]) -> None:
    """The own score and the trivial baselines, mean and deviation over seeds, in percent; the rest is in the runs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from keras_vad.training.seeds import averaged

    shown = ("auroc_micro", "eer")
    table = Table(title=f"{len(evaluations)} seeds; in %", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("model", "protocol"):
        table.add_column(title, no_wrap=True)
    for title in ("AUROC", "EER"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in averaged(evaluations):
        if row["score"] != "frame_scores" or row["smoothing"] > 1:
            continue
        cells = [row["model"].removeprefix("trivial_"), row["protocol"]]
        for name in shown:
            mean, deviation = row[name], row[f"{name}_std"]
            text = "–" if mean is None else f"{100 * mean:.1f}"
            cells.append(text if deviation is None else f"{text} ± {100 * deviation:.1f}")
        table.add_row(*cells)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(run(main))
