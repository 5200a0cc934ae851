"""What the files of a trained detector are called, wherever they lie."""

from pathlib import Path

#: The detector itself, in a run folder and in a preset.
DETECTOR_NAME = "detector.keras"
#: A training's options and losses, in a run folder and in its log.
CONFIG_NAME = "config.yaml"
METRICS_NAME = "metrics.csv"
#: Its card, in a preset and beside the versions of an exported model.
CARD_NAME = "model_card.json"
#: Where an exported version, a SavedModel, keeps what TensorFlow Serving does not look at.
EXTRA = Path("assets.extra")
DETECTOR_FILE = EXTRA / DETECTOR_NAME
CARD_FILE = EXTRA / CARD_NAME
