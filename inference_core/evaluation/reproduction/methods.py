"""What the tables compare, how it is trained at a small budget, and what the paper reports of it.

Figures of the paper: Jung et al., Patch-wise Deep Metric Learning for Unsupervised Low-Dose CT Denoising (MICCAI 2022),
tables 1 and 2, in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_core.errors import UserError

Region = tuple[float | None, float | None]
REGIONS = ("brain", "air", "soft tissue", "cavity", "bone")
"""Of table 2; brain and air are homogeneous patches, the others regions that were drawn."""


@dataclass(frozen=True)
class PaperFigures:
    """What the paper reports.

    Attributes
    ----------
    psnr, ssim : float or None
        Table 1, AAPM data; peak and range are the slice's maximum.
    regions : tuple of (mean, std)
        Table 2, HU, in the order of :data:`REGIONS`.
    """

    psnr: float | None = None
    ssim: float | None = None
    regions: tuple[Region, ...] = ((None, None),) * len(REGIONS)


NOT_IN_PAPER = PaperFigures()
PAPER_LOW_DOSE = PaperFigures(
    33.300, 0.740, ((35.02, 289.47), (-845.28, 132.82), (30.37, 285.97), (-775.71, 182.86), (1350.72, 344.54))
)
PAPER_HIGH_DOSE = PaperFigures(
    regions=((37.36, 48.62), (-972.29, 32.95), (None, None), (None, None), (None, None))
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One method of the tables.

    Attributes
    ----------
    name : str
        As it is chosen, and the folder of its runs.
    label : str
        As it is printed.
    config : str
        Configuration that trains it.
    settings : tuple of str
        What differs from the configuration at a small budget, ``key=value``.
    paper : PaperFigures
    temporal_config : str
        For table 2, where that is another one.
    warm : bool
        Starts from the model given as ``--warm-start``; not in table 2.
    """

    name: str
    label: str
    config: str
    settings: tuple[str, ...]
    paper: PaperFigures = NOT_IN_PAPER
    temporal_config: str = ""
    warm: bool = False


SMALL_CROPS = ("crop=64", "batch=4")
COMPACT = ("width=16", "blocks=6", "discriminator_width=16")
FAST = ("precision=bf16-mixed",)  # where it is faster, on a CPU that has bfloat16

METHODS = (
    Method(
        "cyclegan", "cycleGAN", "cyclegan_ct", (*COMPACT, *SMALL_CROPS, *FAST),
        PaperFigures(
            37.673, 0.865, ((36.78, 59.03), (-968.14, 40.12), (38.06, 52.89), (-923.45, 36.47), (1389.07, 116.46))
        ),
    ),
    Method(
        "wavcyclegan", "wavCycleGAN", "wavcyclegan", (*COMPACT, *SMALL_CROPS, *FAST),
        PaperFigures(
            37.736, 0.867, ((32.69, 60.98), (-852.94, 33.13), (49.71, 58.43), (-859.92, 38.26), (1375.65, 156.43))
        ),
    ),
    Method(
        "gan_circle", "GAN-Circle", "gan_circle", ("critic_width=16", "batch=4", "learning_rate=0.0001", *FAST),
        PaperFigures(
            37.795, 0.867, ((39.43, 49.23), (-994.40, 38.11), (40.29, 50.22), (-925.42, 36.50), (1364.28, 115.47))
        ),
    ),
    Method(
        "cycle_free", "invertible cycleGAN", "cycle_free", ("width=8", "discriminator_width=16", "crop=128"),
        PaperFigures(
            37.855, 0.867, ((37.74, 53.46), (-846.87, 33.47), (44.44, 54.44), (-801.20, 44.12), (1384.13, 111.81))
        ),
    ),
    Method(
        "dml", "DML, faithful", "dml_aapm", SMALL_CROPS,
        PaperFigures(
            38.110, 0.875, ((35.05, 49.06), (-845.65, 32.99), (29.39, 48.15), (-777.63, 33.65), (1352.57, 72.98))
        ),
        temporal_config="dml_temporal",
    ),
    Method("dml_robust", "DML robust, from scratch", "dml_robust", ("start_from=null", "learning_rate=0.0002")),
    Method("dml_robust_warm", "DML robust, warm start", "dml_robust", (), warm=True),
)  # fmt: skip


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
