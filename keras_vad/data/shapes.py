"""The shapes data set (Jacob & Levine 2019, section III): squares and circles on a road, triangles are the anomaly.

Deviation: shapes may also be anomalous by their speed, because a triangle moves as all do, and a method of motion wants
a test, too. By default none is.
"""

import os
import shutil
import tempfile
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from keras_vad.errors import VadError

FRAME_SIZE = 170
SHAPE_SIZE = 20
UPPER_LANE = 35  # y of the top of the squares
LOWER_LANE = 122  # y of the top of the circles
GAPS = (4, 19)  # pixels between two shapes, both ends included
FAST = 3  # pixels a frame; normal shapes move 1
COLOURS = (
    (214, 39, 40),
    (31, 119, 180),
    (255, 127, 14),
    (148, 103, 189),
    (227, 119, 194),
    (240, 240, 240),
    (20, 20, 20),
    (255, 221, 51),
)


@dataclass(frozen=True)
class _Shape:
    """A shape of one lane; ``entry`` is the frame in which it stands just outside the picture."""

    entry: int
    colour: tuple[int, int, int]
    triangle: bool
    speed: int = 1

    @property
    def anomalous(self) -> bool:
        return self.triangle or self.speed > 1


@dataclass(frozen=True)
class _Scene:
    """A background and the shapes of both lanes, by time of entry."""

    background: Image.Image
    upper: list[_Shape]
    lower: list[_Shape]

    def draw(self, time: int) -> tuple[Image.Image, Image.Image]:
        """The RGB frame at a time in frames, and its mask: 255 where an anomaly is; fast shapes pass before others."""
        image, mask = self.background.copy(), Image.new("L", self.background.size)
        picture, masked = ImageDraw.Draw(image), ImageDraw.Draw(mask)
        for lane, top in ((self.upper, UPPER_LANE), (self.lower, LOWER_LANE)):
            first = bisect_right(lane, time - FRAME_SIZE - SHAPE_SIZE, key=lambda shape: shape.entry)
            last = bisect_left(lane, time, key=lambda shape: shape.entry)
            for shape in sorted(lane[first:last], key=lambda shape: shape.speed):
                way = shape.speed * (time - shape.entry)
                left = way - SHAPE_SIZE if lane is self.upper else FRAME_SIZE - way
                right, bottom = left + SHAPE_SIZE - 1, top + SHAPE_SIZE - 1
                for drawing, colour in ((picture, shape.colour), (masked, 255 if shape.anomalous else 0)):
                    if shape.triangle:
                        corners = [(left, bottom), (right, bottom), ((left + right) // 2, top)]
                        drawing.polygon(corners, fill=colour)
                    elif lane is self.upper:
                        drawing.rectangle((left, top, right, bottom), fill=colour)
                    else:
                        drawing.ellipse((left, top, right, bottom), fill=colour)
        return image, mask


def make_shapes(
    folder: str | os.PathLike[str],
    train_frames: int,
    test_frames: int,
    seed: int,
    anomaly_probability: float = 0.1,
    frames_per_video: int = 200,
    anomalies: int | None = None,
    scene: int | None = None,
    fast_probability: float = 0.0,
) -> Path:
    """Draw the shapes data set and write it in the layout of UCSD Ped1 and Ped2.

    Frames are 170x170 RGB. On a static background, drawn from the seed, squares of 20 pixels move right in the upper
    lane (y 35 to 55) and circles left in the lower lane (y 122 to 142), 1 pixel a frame, 4 to 19 pixels apart, each in
    one of 8 colours. In the test videos every shape is a triangle with a given probability, and one that is none is
    fast with another: 3 pixels a frame, in front of those that it overtakes. These are the anomalies. Their visible
    pixels are the mask; a frame with such a pixel is anomalous.

    Args:
        folder: Where to write; must not exist or be empty. It is written beside and renamed at the end.
        train_frames: Frames of all training videos.
        test_frames: Frames of all test videos.
        seed: Fixes every pixel.
        anomaly_probability: Of a shape of the test videos to be a triangle.
        frames_per_video: A split is one continuous scene, cut into videos of about this length.
        anomalies: Draw exactly so many triangles into the test videos, instead of by probability: the paper has 100 in
            6,500 frames.
        scene: Draw on the background of the data set of this seed: other traffic before the same camera, for choosing
            options without its test videos. ``None`` is ``seed``.
        fast_probability: Of a shape of the test videos that is no triangle to be fast. 0 is the paper's data set.

    Returns:
        The folder.

    Raises:
        VadError: If the folder is not empty or cannot be written, or an argument is out of its range.
    """
    folder = Path(folder)
    for name, value in (("train", train_frames), ("test", test_frames), ("video", frames_per_video)):
        if value < 1:
            raise VadError(f"the number of {name} frames is {value}, but must be at least 1.")
    for name, chance in (("an anomaly", anomaly_probability), ("a fast shape", fast_probability)):
        if not 0 <= chance <= 1:
            raise VadError(f"the probability of {name} is {chance}, but must lie between 0 and 1.")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise VadError(f"{folder} exists and is not an empty folder; choose another folder or delete it.")
    background = _background(seed if scene is None else scene)
    train = _scene(background, train_frames, 0.0, [seed, 1])
    test = _scene(background, test_frames, anomaly_probability if anomalies is None else 0.0, [seed, 2])
    if anomalies is not None:
        test = _with_triangles(test, test_frames, anomalies, [seed, 3])
    test = _with_fast_shapes(test, fast_probability, [seed, 4])
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        partial.chmod(0o755)
        for number, frames in enumerate(_clips(train_frames, frames_per_video), start=1):
            _write_clip(partial / "Train" / f"Train{number:03d}", train, frames)
        lines = ["TestVideoFile = {};"]
        for number, frames in enumerate(_clips(test_frames, frames_per_video), start=1):
            anomalous = _write_clip(partial / "Test" / f"Test{number:03d}", test, frames, masks=True)
            lines.append(f"TestVideoFile{{end+1}}.gt_frame = [{_matlab_ranges(anomalous)}];")
        (partial / "Test" / "shapes.m").write_text("\n".join(lines) + "\n")
        partial.rename(folder)
    except OSError as error:
        raise VadError(
            f"the shapes data set cannot be written to {folder} ({error.strerror or error}); choose a folder that you "
            "can write to, on a disk with enough space."
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _clips(n_frames: int, frames_per_video: int) -> list[np.ndarray]:
    """The frame numbers of every video: about ``frames_per_video``, no video much shorter than another."""
    return np.array_split(np.arange(n_frames), max(1, round(n_frames / frames_per_video)))


def _write_clip(clip: Path, scene: _Scene, frames: np.ndarray, masks: bool = False) -> np.ndarray:
    """Write the frames of a clip, and its masks beside it; returns which frames are anomalous, bool (n,)."""
    clip.mkdir(parents=True)
    mask_folder = clip.with_name(f"{clip.name}_gt")
    if masks:
        mask_folder.mkdir()
    anomalous = np.zeros(len(frames), bool)
    for index, time in enumerate(frames.tolist()):
        image, mask = scene.draw(time)
        anomalous[index] = mask.getbbox() is not None
        image.save(clip / f"{index + 1:03d}.png", compress_level=1)
        if masks:
            mask.save(mask_folder / f"{index + 1:03d}.png")
    return anomalous


def _scene(background: Image.Image, n_frames: int, anomaly_probability: float, seed: list[int]) -> _Scene:
    """Draw lots for every shape of both lanes."""
    rng = np.random.default_rng(seed)
    upper, lower = (_lane(rng, n_frames, anomaly_probability) for _ in range(2))
    return _Scene(background, upper, lower)


def _lane(rng: np.random.Generator, n_frames: int, anomaly_probability: float) -> list[_Shape]:
    """The shapes of a lane, by time of entry; the lane is already full in frame 0."""
    shapes = []
    entry = -(FRAME_SIZE + SHAPE_SIZE)
    while entry < n_frames:
        colour = COLOURS[rng.integers(len(COLOURS))]
        shapes.append(_Shape(entry, colour, bool(rng.random() < anomaly_probability)))
        entry += SHAPE_SIZE + int(rng.integers(GAPS[0], GAPS[1], endpoint=True))
    return shapes


def _with_triangles(scene: _Scene, n_frames: int, count: int, seed: list[int]) -> _Scene:
    """The scene with so many of its shapes that are seen in its frames, of both lanes alike, as triangles."""
    lanes = {"upper": scene.upper, "lower": scene.lower}
    # A shape is in the picture in the FRAME_SIZE + SHAPE_SIZE - 1 frames after its entry.
    seen = [
        (name, number)
        for name, lane in lanes.items()
        for number, shape in enumerate(lane)
        if -(FRAME_SIZE + SHAPE_SIZE) < shape.entry < n_frames - 1
    ]
    if not 0 <= count <= len(seen):
        raise VadError(
            f"the number of anomalies is {count}, but the test videos show {len(seen)} shapes; give at most as many, "
            "or more test frames."
        )
    chosen = {seen[number] for number in np.random.default_rng(seed).permutation(len(seen))[:count]}
    marked = {
        name: [replace(shape, triangle=(name, number) in chosen) for number, shape in enumerate(lane)]
        for name, lane in lanes.items()
    }
    return replace(scene, upper=marked["upper"], lower=marked["lower"])


def _with_fast_shapes(scene: _Scene, probability: float, seed: list[int]) -> _Scene:
    """The scene with some of the shapes that are no triangles at a higher speed."""
    rng = np.random.default_rng(seed)

    def drawn(lane: list[_Shape]) -> list[_Shape]:
        chances = rng.random(len(lane))
        return [
            replace(shape, speed=FAST) if chance < probability and not shape.triangle else shape
            for shape, chance in zip(lane, chances, strict=True)
        ]

    return replace(scene, upper=drawn(scene.upper), lower=drawn(scene.lower))


def _background(seed: int) -> Image.Image:
    """A country road from above: grass with bushes, and a lane of asphalt for each row of shapes."""
    rng = np.random.default_rng([seed, 0])
    image = Image.new("RGB", (FRAME_SIZE, FRAME_SIZE), (86, 125, 70))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.integers(-5, FRAME_SIZE, 2).tolist()
        radius = int(rng.integers(2, 7))
        green = int(rng.integers(70, 120))
        draw.ellipse((x, y, x + 2 * radius, y + 2 * radius), fill=(green // 2, green, green // 3))
    for top in (UPPER_LANE, LOWER_LANE):
        draw.rectangle((0, top - 7, FRAME_SIZE, top + SHAPE_SIZE + 6), fill=(105, 105, 108))
        for y in (top - 5, top + SHAPE_SIZE + 4):
            draw.line((0, y, FRAME_SIZE, y), fill=(200, 200, 200))
    grain = rng.normal(0, 6, (FRAME_SIZE, FRAME_SIZE, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _matlab_ranges(anomalous: np.ndarray) -> str:
    """Runs of true frames as ``first:last``, counted from 1, end included.

    >>> _matlab_ranges(np.array([True, True, False, True]))
    '1:2, 4:4'
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], anomalous.astype(np.int8), [0]])))
    return ", ".join(f"{start + 1}:{stop}" for start, stop in edges.reshape(-1, 2).tolist())
