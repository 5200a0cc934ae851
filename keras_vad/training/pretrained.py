"""Fine-tuning: a trained detector that a run starts from, and the recipe for going on with it on another camera."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_vad.errors import VadError
from keras_vad.models.detector import TrainingPhase
from keras_vad.models.registry import build, method_of
from keras_vad.presets.resolve import Origin, TrainedDetector
from keras_vad.training.recipe import Recipe, resolve_recipe

_EPOCHS_SHARE = 0.5  # of the first training; the running statistics of batch normalisation need the time, too
_LEARNING_RATE_FACTOR = 0.3

# What goes on as in the first training. The rest speaks of its footage (train_frames, fps), of its machine (precision)
# or of a promise to its user (false_alarms_per_hour).
_KEPT = {
    "data": ("speeds", "hop", "validation_share"),
    "training": ("steps_per_epoch", "batch_size", "schedule", "validation_steps", "checkpoint_every", "alarm_quantile"),
    "scoring": ("smoothing",),
}


@dataclass(frozen=True)
class Pretrained:
    """A trained detector that a run starts from.

    Args:
        origin: Which one it is.
        method: Public name of its method.
        config: All its hyper-parameters.
        phases: Its training schedule, as the method proposes it.
        weights: As ``get_weights`` gives them.
    """

    origin: Origin
    method: str
    config: dict[str, Any]
    phases: Sequence[TrainingPhase]
    weights: list[np.ndarray]

    def recipe(self, overrides: Sequence[str] = ()) -> Recipe:
        """The recipe for fine-tuning: that of its training, for half the epochs at 0.3 times the learning rate.

        A detector that was fine-tuned itself is trained as it was then.

        Args:
            overrides: See ``load_recipe``.

        Raises:
            VadError: If nothing says how the detector was trained, or an override is not understood.
        """
        about = self.origin.training or {}
        options, origin = about.get("options"), f"the training of {self.origin}"
        if not (isinstance(options, dict) and options.get("training")):
            raise VadError(f"nothing says how {self.origin} was trained; name a recipe with --recipe.")
        before = Recipe.from_dict(options, origin)
        values = {
            section: {option: getattr(getattr(before, section), option) for option in kept}
            for section, kept in _KEPT.items()
        }
        if about.get("from"):
            again = {"epochs": before.training.epochs, "learning_rate_factor": before.training.learning_rate_factor}
        else:
            again = {"epochs": self._epochs(before.training.epochs), "learning_rate_factor": _LEARNING_RATE_FACTOR}
        values["training"] |= again
        return resolve_recipe(values, overrides, origin)

    def _epochs(self, before: int | None) -> int:
        epochs = sum(phase.epochs for phase in self.phases) if before is None else before
        return max(len(self.phases), math.ceil(_EPOCHS_SHARE * epochs))

    def fitted(self, recipe: Recipe) -> Recipe:
        """The recipe with all hyper-parameters of the detector but those that the recipe names.

        Raises:
            VadError: If its weights do not fit a hyper-parameter of the recipe.
        """
        changed = dict(item for item in recipe.model.items() if item not in self.config.items())
        model = {**self.config, **changed}
        if changed:
            shapes = [tuple(weight.shape) for weight in build(self.method, **model).weights]
            if shapes != [weight.shape for weight in self.weights]:
                named = ", ".join(f"model.{name} {value!r}" for name, value in changed.items())
                raise VadError(
                    f"the weights of {self.origin} do not fit {named}; leave out what changes their shapes, or train "
                    "with --model in place of --from."
                )
        return dataclasses.replace(recipe, model=model)


def load_pretrained(trained: TrainedDetector) -> Pretrained:
    """Load the detector that a run starts from.

    Args:
        trained: What ``keras_vad.presets.resolve.resolve`` gives.

    Raises:
        VadError: As ``TrainedDetector.load``.
    """
    detector = trained.load()
    hyper = {name: value for name, value in detector.get_config().items() if name != "name"}
    return Pretrained(
        origin=trained.origin,
        method=method_of(detector),
        config=Recipe.from_dict({"model": hyper}).model,  # its values as a recipe's
        phases=detector.phases(),
        weights=detector.get_weights(),
    )
