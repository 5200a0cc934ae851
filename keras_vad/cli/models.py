"""List the methods, or the options of one.

Example:
  keras-vad models adv3dcae
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="PATTERN",
        help="names with wildcards (default: all); a method's own name lists its options, for --set model.OPTION=VALUE",
    )


def run(args: argparse.Namespace) -> int:
    """Print their names and what they are."""
    from keras_vad.models.registry import METHODS, about_method, check_method, list_models, options_of

    if args.pattern in METHODS:
        print(about_method(args.pattern))
        options = {name: option for name, option in options_of(args.pattern).items() if name != "name"}
        for name, option in options.items():
            print(f"  {name:{max(map(len, options))}}  {option.annotation} = {option.default}")
        return 0
    names = list_models(args.pattern)
    if not names:
        check_method(args.pattern)
    for name in names:
        print(f"{name:{max(map(len, names))}}  {about_method(name)}")
    return 0
