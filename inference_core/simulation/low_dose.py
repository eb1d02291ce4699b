"""A CT as it would have come out at a lower dose: noise inserted by the physics of the scan.

A ray's count n is Poisson with the mean N, plus electronic noise of standard deviation e. Its line integral, -log(n),
then has the variance 1/N + e^2/N^2. At a fraction d of the dose N becomes d N while e stays, and what is missing is

    1/(d N) + e^2/(d N)^2 - 1/N - e^2/N^2  =  1/M + E^2/M^2,   M = N d/(1 - d),   E = e sqrt((1 + d)/(1 - d)).

So the noise to be inserted is that of one more scan, with d/(1 - d) of the photons and sqrt((1 + d)/(1 - d)) times the
electronic noise: it is drawn as counts, its log taken, its noise-free line integrals subtracted, and the noise alone
filtered by the scan's kernel and back-projected. The CT keeps its own resolution and its own noise.

Reference: Yu, Shiung, Jondal, McCollough, Development and validation of a practical lower-dose-simulation tool for
optimizing computed tomography scan protocols (J. Comput. Assist. Tomogr. 36, 2012). The derivation is our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inference_core.denoiser.guard import FARTHEST, check_ct
from inference_core.errors import UserError
from inference_core.image.padding import padding_mask
from inference_core.image.volume import Volume
from inference_core.measurement.noise import MOST_SLICES, noise_level
from inference_core.measurement.noise_power import NoisePower, measure_noise_power
from inference_core.simulation.inserted_noise import draw_noise
from inference_core.simulation.photon_calibration import (
    LEAST_NOISE,
    block_noise_power,
    fill_gaps,
    photons_of_slice,
    soft_tissue_blocks,
)
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    Float32Array,
    FloatArray,
    add_photon_noise,
    filtered_back_projection,
)
from inference_core.simulation.scan_model import (
    Grid,
    Scanner,
    absorbance,
    default_power,
    kernel_gain,
    mean_inverse_counts,
    noise_gain,
)

Form = Literal["projection", "image"]
LOWEST = -1024.0  # HU, where scanners clip
SURVEY_VIEWS = 32  # enough to add up variances
SURVEY_STEP = 16  # pixels
STREAK = 0.6  # gamma of the image form, of :func:`~inference_core.simulation.inserted_noise.draw_noise`
BODY = -300.0  # HU
MOST_PHOTONS = 1e15  # per ray; beyond it there is no noise, and numpy draws no counts
PIXEL_SIZES = (0.05, 5.0)  # mm
MOST_ABSORBED = 40.0  # path integral of a ray; 2 m of water
MOST_NOISE = float(FARTHEST)  # HU


@dataclass(frozen=True)
class DoseRecord:
    """How a lower dose was simulated.

    Attributes
    ----------
    dose, seed, form, ct_number_shift
        As asked for.
    photons : tuple of float
        Per ray of the full-dose scan, one a slice.
    photons_measured : bool
        Measured on the scan, not given.
    gamma, electronic : float
        Of the :class:`~inference_core.simulation.scan_model.Scanner`; in the image form, gamma is STREAK.
    kernel : str
        ``measured`` on the scan, or ``default``.
    warnings : tuple of str
        What the user should know.
    """

    dose: float
    seed: int
    form: Form
    ct_number_shift: float
    photons: tuple[float, ...]
    photons_measured: bool
    gamma: float
    electronic: float
    kernel: Literal["measured", "default"]
    warnings: tuple[str, ...]


def simulate_dose(
    volume: Volume,
    dose: float,
    seed: int,
    form: Form = "projection",
    photons: float | None = None,
    ct_number_shift: float = 1.0,
    scanner: Scanner | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Volume, DoseRecord]:
    """Insert the noise that a CT would have more of at a lower dose.

    Parameters
    ----------
    volume : Volume
        The CT at full dose, HU; axial slices with square pixels.
    dose : float
        Fraction of the full dose, between 0 and 1.
    seed : int
        Of the noise, 0 or more; the same seed gives the same voxels.
    form : {"projection", "image"}
        ``projection`` draws photons and back-projects; ``image`` draws the noise in the image, some 20 times faster.
    photons : float, optional
        Per ray of the full-dose scan in air; by default measured on each slice.
    ct_number_shift : float
        CT numbers below 0 HU are multiplied by it at the end, 1 leaves them: low-dose scans may show air too bright
        (0.87 is that of the temporal-bone data of Jung et al., MICCAI 2022: -972 became -845 HU).
    scanner : Scanner, optional
        What else is assumed of the scanner.
    progress : callable, optional
        Called with the slices done and their number.

    Returns
    -------
    Volume, DoseRecord
        The same grid, padding and voxel type; nothing measured is below -1024 HU.

    Raises
    ------
    UserError
        ``dose``, ``seed``, ``form``, ``photons``, ``ct-number-shift``, ``not-square``, ``pixel-size``, ``too-opaque``,
        ``too-noisy``, ``no-noise``, or as :func:`~inference_core.denoiser.guard.check_ct`.
    """
    scanner = scanner or Scanner()
    check_options(dose, seed, form, photons, ct_number_shift)
    check_ct(volume)
    grid = _grid(volume)
    paddings = [padding_mask(image, volume.padding_value, volume.padding_limit) for image in volume.voxels]
    power, warnings = _noise_power(volume, paddings)
    kernel = power or default_power()
    slices = list(zip(volume.voxels, paddings, strict=True))
    surveys = [_survey(*one, grid, kernel, scanner) for one in slices]
    counts = fill_gaps([survey.photons if photons is None else photons for survey in surveys])
    out = np.empty_like(volume.voxels)
    for k, (image, padding) in enumerate(slices):
        rng = np.random.default_rng([seed, k])  # of its own for each slice: no order of work changes a byte
        scan = missing_scan(dose, counts[k], scanner)
        if form == "projection":
            noise = _projection_noise(image, padding, grid, kernel, scan, scanner.gamma, rng)
        else:
            noise = _image_noise(image, padding, grid, kernel, scan, surveys[k], rng)
        noisy = np.maximum(image + noise, LOWEST)
        noisy = np.where(noisy < 0, noisy * np.float32(ct_number_shift), noisy)
        if out.dtype.kind == "i":
            noisy = np.clip(np.rint(noisy), LOWEST, np.iinfo(out.dtype).max)
        out[k] = np.where(padding, image, noisy)
        if progress is not None:
            progress(k + 1, len(out))
    record = DoseRecord(
        dose=dose,
        seed=seed,
        form=form,
        ct_number_shift=ct_number_shift,
        photons=tuple(float(f"{value:.6g}") for value in counts),
        photons_measured=photons is None,
        gamma=scanner.gamma if form == "projection" else STREAK,
        electronic=scanner.electronic,
        kernel="default" if power is None else "measured",
        warnings=(*volume.warnings, *warnings),
    )
    return volume.with_voxels(out), record


def check_options(dose: float, seed: int, form: str, photons: float | None, ct_number_shift: float) -> None:
    """Refuse what cannot be simulated, before any work is done for it.

    Raises
    ------
    UserError
        ``dose``, ``seed``, ``form``, ``photons`` or ``ct-number-shift``.
    """
    if not 0 < dose < 1:
        raise UserError(
            "dose", f"The dose is {dose:g}.", "Choose a fraction between 0 and 1: 0.25 is a quarter of the dose."
        )
    if seed < 0:
        raise UserError("seed", f"The seed is {seed}.", "Choose 0 or more.")
    if form not in get_args(Form):
        raise UserError("form", f"There is no form {form!r}.", f"Choose one of {', '.join(get_args(Form))}.")
    if photons is not None and not 1 <= photons < math.inf:
        raise UserError("photons", f"The photons per ray are {photons:g}.", "Choose 1 or more, for example 1e6.")
    if not 0 < ct_number_shift <= 1:
        raise UserError(
            "ct-number-shift", f"The CT-number shift is {ct_number_shift:g}.", "Choose a factor up to 1, such as 0.87."
        )


def _grid(volume: Volume) -> Grid:
    x, y, _ = volume.spacing
    if abs(x - y) > 0.01 * max(x, y):
        raise UserError(
            "not-square",
            f"Pixels are {x:g} x {y:g} mm: these are not the slices that the scanner made.",
            "Give the axial slices; the noise of a scan is made in their plane.",
        )
    if not PIXEL_SIZES[0] <= x <= PIXEL_SIZES[1]:
        raise UserError(
            "pixel-size",
            f"Pixels are {x:g} mm wide; those of a CT are {PIXEL_SIZES[0]:g} to {PIXEL_SIZES[1]:g} mm.",
            "Check the spacing of the volume: it is given in mm.",
        )
    _, rows, columns = volume.voxels.shape
    return Grid(rows, columns, float(x))


def _noise_power(volume: Volume, paddings: list[NDArray[np.bool_]]) -> tuple[NoisePower | None, list[str]]:
    """The scan's noise power spectrum, or None and why not."""
    if noise_level(volume.voxels) < LEAST_NOISE:
        reason = f"The scan has no noise above {LEAST_NOISE:g} HU"
    else:
        reason = "The scan has no flat soft tissue"
        chosen = np.unique(np.linspace(0, len(volume.voxels) - 1, MOST_SLICES).astype(int))
        try:
            return measure_noise_power([volume.voxels[k].astype(np.float32) for k in chosen]), []
        except ValueError:  # no patch of 64 x 64 pixels; smaller blocks show the spectrum more coarsely
            power = block_noise_power([soft_tissue_blocks(volume.voxels[k], paddings[k]) for k in chosen])
        if power is not None:
            return power, []
    return None, [f"{reason} to read its kernel from: the noise is that of a Hann kernel."]


@dataclass(frozen=True)
class _Survey:
    """What a few views say of a slice: its photons, if they can be measured, and means over the body.

    ``inverse`` and ``inverse_square`` are those of 1 / count and of 1 / count^2 for one photon per ray.
    """

    photons: float | None
    inverse: float
    inverse_square: float


def _survey(
    image: NDArray[Any], padding: NDArray[np.bool_], grid: Grid, power: NoisePower, scanner: Scanner
) -> _Survey:
    with np.errstate(all="ignore"):  # what overflows is refused below
        absorbed = absorbance(image, padding, grid, scanner.gamma, SURVEY_VIEWS)
    if not absorbed.max() <= MOST_ABSORBED:  # nor NaN
        raise UserError(
            "too-opaque",
            f"With CT numbers up to {image.max():.0f} HU and pixels of {grid.pixel:g} mm, no photon passes through it.",
            "Check that its values are Hounsfield units, and its spacing.",
        )
    photons = photons_of_slice(soft_tissue_blocks(image, padding), absorbed, grid, power, scanner)
    first, second = mean_inverse_counts(absorbed, _body_points(image), grid)
    return _Survey(photons, float(first.mean()), float(second.mean()))


def missing_scan(dose: float, photons: float, scanner: Scanner) -> tuple[float, float]:
    """Photons and electronic noise of the scan whose noise is missing."""
    more = min(photons * dose / (1 - dose), MOST_PHOTONS)
    return more, scanner.electronic * math.sqrt((1 + dose) / (1 - dose))


def _projection_noise(
    image: NDArray[Any], padding: NDArray[np.bool_], grid: Grid, power: NoisePower, scan: tuple[float, float],
    gamma: float, rng: np.random.Generator,
) -> Float32Array:  # fmt: skip
    """(rows, columns) HU: photon noise of a scan, back-projected."""
    absorbed = absorbance(image, padding, grid, gamma)
    noise = add_photon_noise(absorbed, *scan, rng) - absorbed
    length = 1 << int(np.ceil(np.log2(2 * grid.detectors)))
    frequency = np.arange(length // 2 + 1) / length * (grid.pixel / grid.pitch)
    spectrum = np.fft.rfft(noise, length, axis=1) * kernel_gain(power, frequency).astype(np.float32)
    filtered = np.fft.irfft(spectrum, length, axis=1)[:, : grid.detectors, None].astype(np.float32)
    attenuation = filtered_back_projection(filtered, grid.size, grid.pixel, grid.pitch, flat_to=1)[0]
    return np.asarray(grid.middle_of(attenuation) * np.float32(1000 / WATER_ATTENUATION))


def _image_noise(
    image: NDArray[Any], padding: NDArray[np.bool_], grid: Grid, power: NoisePower, scan: tuple[float, float],
    survey: _Survey, rng: np.random.Generator,
) -> Float32Array:  # fmt: skip
    """(rows, columns) HU: noise drawn in the image, as strong over the body as the scan would make it."""
    photons, electronic = scan
    of_rays = survey.inverse / photons + survey.inverse_square * (electronic / photons) ** 2
    variance = noise_gain(power, grid) * of_rays
    if not variance <= MOST_NOISE**2:
        raise UserError(
            "too-noisy",
            f"With {photons:.3g} photons per ray the noise would be {math.sqrt(variance):.3g} HU.",
            "Choose a higher dose or more photons, or --form projection, where no count is below 1.",
        )
    unpadded = np.where(padding, -1000, image).astype(np.float32)
    return draw_noise(unpadded, power, grid.pixel, STREAK, rng) * np.float32(math.sqrt(variance))


def _body_points(image: NDArray[Any]) -> FloatArray:
    """(2, N) row and column of points of the body, or of the slice where it shows none."""
    points = np.mgrid[SURVEY_STEP // 2 : image.shape[0] : SURVEY_STEP, SURVEY_STEP // 2 : image.shape[1] : SURVEY_STEP]
    points = points.reshape(2, -1)
    body = image[*points] > BODY
    return (points[:, body] if body.any() else points).astype(np.float64)
