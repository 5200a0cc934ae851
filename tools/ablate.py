"""Train and evaluate the rows of an ablation table of a paper, and print ours beside the paper's as Markdown.

Example: python tools/ablate.py chang2022-table2 --dataset ucsdped2 --data-dir UCSDped2 --recipe compact
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import load_tensorflow, run
from keras_vad.common.files import write_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows that have not been run yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("table", metavar="TABLE", nargs="?", help="name of a table, for example chang2022-table2, or a YAML file")
    add("--list", action="store_true", help="print the tables that there are")
    add("--dataset", metavar="KEY", help="shapes, ucsdped1, ucsdped2 or folder")
    add("--data-dir", metavar="DIR", type=Path, help="folder of the data set")
    add("--recipe", help="recipe that rows change: a name, YAML file, or compact (default: MODEL_DATASET)")
    add("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", help="override an option in all rows")
    add("--seed", type=int, default=0, help="seed of all trainings (default: %(default)s)")
    add("--only", nargs="+", metavar="ROW", help="labels or numbers of rows (default: all)")
    add("--run-dir", type=Path, help="folder of all runs and figures (default: runs/ablations-RECIPE-seedSEED)")
    add("--output", metavar="FILE", type=Path, help="write the Markdown to a file, too")
    add("--picture", metavar="FILE", type=Path, help="draw the first figure against the number of training frames")
    args = parser.parse_args(argv)
    if not args.list and None in (args.table, args.dataset, args.data_dir):
        parser.error("give TABLE, --dataset and --data-dir, or --list")

    load_tensorflow()
    from keras_vad.data import open_dataset
    from keras_vad.report.growth import draw_growth
    from keras_vad.training.ablation_run import AblationRun
    from keras_vad.training.ablations import FIGURES, list_ablations, load_ablation
    from keras_vad.training.recipe import find_recipe, recipe_stem

    if args.list:
        for name in list_ablations():
            table = load_ablation(name)
            print(f"{name}: {table.title} ({table.paper}; {table.model}, {len(table.rows)} rows)")
        return 0
    table = load_ablation(args.table)
    rows = table.rows if args.only is None else tuple(table.row(wanted) for wanted in args.only)
    open_dataset(args.dataset, args.data_dir)  # an unknown one is named before its recipe is looked for
    recipe_name = find_recipe(args.recipe, table.model, args.dataset)
    folder = args.run_dir or Path("runs") / f"ablations-{recipe_stem(recipe_name)}-seed{args.seed}"
    ablation = AblationRun(table, args.dataset, args.data_dir, recipe_name, folder, args.set, args.seed)
    for row in rows:
        print(f"{table.name}, row {table.rows.index(row) + 1} of {len(table.rows)}: {row.label}", file=sys.stderr)
        ablation.run(row)
    markdown = ablation.to_markdown()
    print(markdown, end="")
    if args.output is not None:
        write_text(args.output, markdown)
    if args.picture is not None:
        growth, name = ablation.growth(), FIGURES[table.figures[0]]
        draw_growth(
            [size for size, _ in growth], [figure for _, figure in growth], args.picture, name=name, overwrite=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
