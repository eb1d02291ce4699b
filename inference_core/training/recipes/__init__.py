"""Training recipes, one file a method, and its YAML configuration beside it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference_core.errors import UserError

CLASSES = {
    "supervised_ct": "SupervisedCtConfig",
    "noise2noise_ct": "Noise2NoiseCtConfig",
    "metric_noise2noise_ct": "MetricNoise2NoiseCtConfig",
    "distilled_ct": "DistilledCtConfig",
    "deep_metric_ct": "DeepMetricCtConfig",
    "cycle_gan_ct": "CycleGanCtConfig",
    "gan_circle_ct": "GanCircleCtConfig",
    "cycle_free_ct": "CycleFreeCtConfig",
    "depth_endoscopy": "DepthEndoscopyConfig",
    "depth_cyclegan": "DepthCycleGanConfig",
    "i2i_endoscopy": "I2iEndoscopyConfig",
    "foldit_endoscopy": "FolditEndoscopyConfig",
    "fold_segmenter": "FoldSegmenterConfig",
}
"""Each recipe's configuration."""

TASKS = {
    "denoiser": tuple(name for name in CLASSES if name.endswith("_ct")),
    "depth": ("depth_endoscopy",),
    "translator": ("depth_cyclegan", "i2i_endoscopy"),
    "segmenter": ("fold_segmenter", "foldit_endoscopy"),
}
"""Recipes of each thing that can be trained."""

BUNDLED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
"""Configurations by name; several may be of one recipe."""


def recipe_of(config: str, task: str) -> tuple[str, dict[str, Any]]:
    """A configuration by its name or the path of a YAML file.

    Returns
    -------
    The recipe's name, and the fields that the file sets.

    Raises
    ------
    UserError
        ``no-such-recipe`` or ``bad-config``.
    """
    import yaml

    path = BUNDLED.get(config, Path(config))
    known = ", ".join(TASKS[task])
    if not path.is_file():
        names = ", ".join(BUNDLED)
        raise UserError("no-such-recipe", f"There is no configuration {config!r}.", f"Give a YAML file, or: {names}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = content.pop("recipe")
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UserError(
            "bad-config", f"{path} is no configuration: {error}.", f"It is YAML with a line 'recipe: ...' ({known})."
        ) from error
    if name not in TASKS[task]:
        other = next((kind for kind, recipes in TASKS.items() if name in recipes), None)
        remedy = f"Recipes for a {task} are: {known}." + (f" This one is for: train {other}." if other else "")
        raise UserError("no-such-recipe", f"{path} names the recipe {name!r}.", remedy)
    return name, content


def load_recipe(name: str) -> tuple[type, Callable[[Any], None]]:
    """A recipe's configuration class and its ``train``. Imports torch."""
    module = importlib.import_module(f"inference_core.training.recipes.{name}")
    return getattr(module, CLASSES[name]), module.train
