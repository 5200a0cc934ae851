"""Train and measure the rows of an ablation table of a paper.

Ours beside the paper's is printed as Markdown; keras-vad ablations lists the tables.

Example:
  keras-vad ablate chang2022-table2 --dataset ucsdped2 --data-dir UCSDped2 --recipe compact
"""

import argparse
import sys
from pathlib import Path

from keras_vad.cli import options
from keras_vad.cli.process import load_tensorflow
from keras_vad.common.files import check_folder, check_output, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("table", metavar="TABLE", help="name of a table, for example chang2022-table2, or a YAML file")
    options.add_data(parser)
    options.add_recipe(parser, "MODEL_DATASET; rows change it, and --set changes all rows")
    add("--seed", type=int, default=0, help="seed of all trainings (default: %(default)s)")
    add("--only", nargs="+", metavar="ROW", help="labels or numbers of rows (default: all)")
    add(
        "--run-dir",
        type=Path,
        metavar="DIR",
        help="folder of all runs and figures, in which nothing is done twice (default: runs/ablations-RECIPE-seedSEED)",
    )
    add("--output", metavar="FILE", type=Path, help="write the Markdown to a file, too; it is replaced")
    add("--log", metavar="DIR", type=Path, help="keep table, configurations, metrics and figures, as in zoo/logs/TABLE")
    add("--picture", metavar="FILE", type=Path, help="draw the first figure against the number of training frames")


def run(args: argparse.Namespace) -> int:
    """Run the rows that have not been run yet and print the table."""
    from keras_vad.training.ablations import FIGURES, load_ablation
    from keras_vad.training.recipe import find_recipe, load_recipe, recipe_stem

    options.opened_data(args)
    for path in (args.output, args.picture):
        if path is not None:
            check_output(path, overwrite=True)
    if args.log is not None:
        check_folder(args.log)
    table = load_ablation(args.table)
    rows = table.rows if args.only is None else tuple(table.row(wanted) for wanted in args.only)
    recipe_name = find_recipe(args.recipe, table.model, args.dataset)
    load_recipe(recipe_name, args.set)
    folder = args.run_dir or Path("runs") / f"ablations-{recipe_stem(recipe_name)}-seed{args.seed}"
    check_folder(folder)

    load_tensorflow()
    from keras_vad.evaluation.run_log import told_command
    from keras_vad.report.growth import draw_growth
    from keras_vad.training.ablation_run import AblationRun

    ablation = AblationRun(table, args.dataset, args.data_dir, recipe_name, folder, args.set, args.seed)
    for row in rows:
        print(f"{table.name}, row {table.rows.index(row) + 1} of {len(table.rows)}: {row.label}", file=sys.stderr)
        ablation.run(row)
    markdown = ablation.to_markdown()
    print(markdown, end="")
    if args.output is not None:
        write_text(args.output, markdown)
    if args.log is not None:
        ablation.write_log(args.log, told_command(args.words))
    if args.picture is not None:
        growth, name = ablation.growth(), FIGURES[table.figures[0]]
        draw_growth(
            [size for size, _ in growth], [figure for _, figure in growth], args.picture, name=name, overwrite=True
        )
    return 0
