"""What the endoscopy tables compare: translators, and what a segmenter is trained on.

After Tomasini, Riazuelo, Murillo, Sim2Real in endoscopy segmentation with a novel structure aware image translation
(SASHIMI 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_core.errors import UserError


@dataclass(frozen=True)
class Method:
    """A way to translate simulated frames, or to learn folds from frames of both looks without it.

    Attributes
    ----------
    name : str
        As it is chosen, and the start of its folders.
    label : str
        As it is printed.
    config : str
        Configuration of ``inference-core train translator``, or ``train segmenter``.
    settings : tuple of str
        What differs from the configuration, ``key=value``.
    needs_depth : bool
        Whether it is trained with a depth network.
    segments : bool
        Whether what it gives is a segmenter. It then has the time of a translator and of a segmenter.
    """

    name: str
    label: str
    config: str
    settings: tuple[str, ...] = ()
    needs_depth: bool = False
    segments: bool = False


@dataclass(frozen=True)
class TrainingSet:
    """What a segmenter is trained on.

    Attributes
    ----------
    name : str
        The start of its folders.
    label : str
        As it is printed.
    translator : str or None
        The :class:`Method` whose translations it holds; or that learns from both looks by itself.
    simulated : bool
        Whether it holds simulated frames as they are: with a translator's, in pairs.
    paper : tuple of str
        IoU in % that the paper reports (table 2), on its translated frames and on EndoMapper's.
    """

    name: str
    label: str
    translator: str | None
    simulated: bool
    paper: tuple[str, str]


OURS = "ours"
METHODS = (
    Method("cyclegan", "CycleGAN", "cyclegan_endoscopy"),
    Method("i2i", "I2I (MUNIT with MS-SSIM)", "i2i"),
    Method(OURS, "CycleGAN with depth consistency (ours)", "depth_cyclegan", needs_depth=True),
    Method("foldit", "FoldIt", "foldit", segments=True),
)
SETS = (
    TrainingSet("simulation", "simulation only", None, True, ("38.1 ± 8.56", "39.7 ± 12.83")),
    TrainingSet("cyclegan", "translated by CycleGAN", "cyclegan", False, ("40.7 ± 12.25", "26.9 ± 9.61")),
    TrainingSet("i2i", "translated by I2I", "i2i", False, ("35.2 ± 10.73", "37.6 ± 12.67")),
    TrainingSet("ours", "translated by ours", OURS, False, ("48.9 ± 9.62", "42.5 ± 11.59")),
    TrainingSet("ours-pairs", "ours + simulation in pairs", OURS, True, ("42.6 ± 10.68", "44.3 ± 11.47")),
    TrainingSet("foldit", "FoldIt", "foldit", True, ("30.15 ± 10.73", "32.64 ± 10.26")),
)


def chosen_methods(names: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods of these names in the order of the tables; all where no name is given.

    Raises
    ------
    UserError
        ``no-such-method``.
    """
    known = [method.name for method in METHODS]
    for name in names or ():
        if name not in known:
            raise UserError("no-such-method", f"There is no method {name!r}.", f"Choose from: {', '.join(known)}.")
    return tuple(method for method in METHODS if not names or method.name in names)


def sets_of(methods: Sequence[Method]) -> tuple[TrainingSet, ...]:
    """The training sets that can be made with these methods; simulation alone always."""
    names = {method.name for method in methods}
    return tuple(one for one in SETS if one.translator is None or one.translator in names)
