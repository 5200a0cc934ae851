"""The picture of a latent space: codes as points, coloured by cluster."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from keras_vad.common.files import appearing
from keras_vad.errors import VadError
from keras_vad.report.picture import INK

_MOST = 5000  # codes; t-SNE of more takes long and shows no more
_PERPLEXITY = 30.0


def draw_codes(codes: np.ndarray, clusters: np.ndarray, path: Path, seed: int = 0, overwrite: bool = False) -> None:
    """Draw codes in two dimensions by t-SNE (van der Maaten & Hinton 2008); near points are near codes.

    Args:
        codes: float (n, size), n >= 3; of more than 5,000 some are drawn at random.
        clusters: int (n,), the cluster of each code: its colour.
        path: The picture to write; its suffix says the format (``.png``, ``.svg``, ``.pdf``).
        seed: Of t-SNE and of the choice among many codes.
        overwrite: Whether to replace a picture that exists.

    Raises:
        VadError: If shapes do not fit, a code is not finite, or the picture exists or cannot be written.
    """
    codes, clusters = np.asarray(codes, np.float32), np.asarray(clusters)
    if codes.ndim != 2 or clusters.shape != codes.shape[:1] or len(codes) < 3:
        raise VadError(
            f"the codes have shape {codes.shape} and the clusters {clusters.shape}, but must have (n, size) and (n,) "
            "with n of at least 3."
        )
    if not np.isfinite(codes).all():
        raise VadError("some codes are NaN or infinite; the model may have diverged: train it again.")
    if path.exists() and not overwrite:
        raise VadError(f"{path} exists; choose another file or overwrite it.")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(codes))[:_MOST])
    codes, clusters = codes[chosen], clusters[chosen]
    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    # Principal components as the start: t-SNE alone says little of how groups lie to each other.
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(codes)

    # Without pyplot there is no global state and no display is needed.
    figure = Figure(figsize=(7, 6), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    kinds = np.unique(clusters)
    for kind, colour in zip(kinds, cluster_colours(len(kinds)), strict=True):
        own = points[clusters == kind]
        axes.scatter(own[:, 0], own[:, 1], s=9, color=colour, linewidths=0, label=str(kind))
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{len(codes)} codes, t-SNE", loc="left", fontsize=11, color=INK)
    figure.legend(
        loc="outside right upper", title="cluster", ncols=1 + (len(kinds) - 1) // 20, fontsize=8, frameon=False,
        markerscale=2,
    )  # fmt: skip
    with appearing(path) as partial:
        try:
            figure.savefig(partial)
        except ValueError as error:  # an unknown format
            raise VadError(f"{path} cannot be drawn ({error}); name a .png, .svg or .pdf file.") from error


def cluster_colours(count: int) -> list[tuple[float, float, float]]:
    """Colours that differ, RGB in [0, 1]: named palettes for up to 10 and 20 clusters, else a circle of hues."""
    if count <= 20:
        palette = colormaps["tab10" if count <= 10 else "tab20"]
        return [palette(number)[:3] for number in range(count)]
    return [colormaps["hsv"](number / count)[:3] for number in range(count)]
