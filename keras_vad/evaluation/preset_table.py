"""The Markdown table of the presets of a zoo, made from its index."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_vad.presets.index import Preset, read_index


def render_presets(zoo: Path, dataset: str, results: Sequence[Mapping[str, str]], to_zoo: str = "zoo") -> str:
    """A Markdown table of the newest versions that were trained on one data set, in percent, unsmoothed.

    Args:
        zoo: The zoo folder.
        dataset: Key of the data set.
        results: Rows of the table of results, for ``paper`` and ``deployable``: those with the method, recipe
            and seed of a preset are its figures, the trivial baselines stand beneath. (A card has what was measured
            when it was published, perhaps on other test videos.)
        to_zoo: Path from the document to the zoo, for links to cards.
    """
    newest: dict[str, Preset] = {}
    for preset in sorted(read_index(zoo), key=lambda one: (one.name, one.version)):
        if preset.about["dataset"]["name"] == dataset:
            newest[preset.name] = preset
    if not newest:
        return "No presets yet.\n"
    header = ["preset", "version", "method", "weights", "MB", "change by float16"]
    header += ["AUROC, `paper` (95 % interval)", "AUROC, `deployable` (95 % interval)"]
    lines = [f"| {' | '.join(header)} |", "|---|--:|---|" + "--:|" * (len(header) - 3)]
    for preset in newest.values():
        about = preset.about
        trained = {"model": about["method"], "recipe": about.get("recipe"), "seed": str(about.get("seed"))}
        figures = {row["protocol"]: row for row in results if all(row[key] == value for key, value in trained.items())}
        card = f"[{preset.name}]({to_zoo}/{preset.folder}/model_card.json)"
        cells = [card, str(preset.version), f"`{about['method']}`", f"{about['parameters']:,}"]
        change = about.get("storage", {}).get("largest_change")
        cells += [f"{preset.size / 1e6:.1f}", "–" if change is None else f"{change:.3f}"]
        lines.append(_line([*cells, *(_auroc(figures.get(protocol)) for protocol in ("paper", "deployable"))]))
    for model in sorted({row["model"] for row in results if row["model"].startswith("trivial_")}):
        figures = {row["protocol"]: row for row in results if row["model"] == model}
        cells = [f"`{model}`", *["–"] * 5]
        lines.append(_line([*cells, *(_auroc(figures.get(protocol)) for protocol in ("paper", "deployable"))]))
    return "\n".join(lines) + "\n"


def _auroc(row: Mapping[str, object] | None) -> str:
    """The figure and its interval; a baseline may have none."""
    if row is None or row.get("auroc_micro") in (None, ""):
        return "–"
    middle, *ends = (row.get(f"auroc_micro{end}") for end in ("", "_low", "_high"))
    text = f"{100 * float(str(middle)):.1f}"
    if all(end in (None, "") for end in ends):
        return text
    low, high = (f"{100 * float(str(end)):.1f}" for end in ends)
    return f"{text} ({low} to {high})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
