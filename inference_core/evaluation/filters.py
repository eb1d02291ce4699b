"""Classical denoising filters, to compare with: each from a slice and one strength to a slice.

Where a strength is a CT number, it is given in units of the slice's own noise, so that one value tuned on one slice
serves slices of any noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.measurement.metrics import psnr
from inference_core.measurement.noise import noise_level

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Filter:
    """A classical filter.

    Attributes
    ----------
    run : callable
        ``run(image, strength)``: (H, W) float32 HU to the same.
    strengths : tuple of float
        Grid to tune on.
    """

    run: Callable[..., FloatArray]
    strengths: tuple[float, ...]


def median(image: FloatArray, strength: float) -> FloatArray:
    """SimpleITK median; strength: radius in pixels."""
    return _through_itk(image, lambda itk, x: itk.Median(x, [int(strength)] * 2))


def gaussian(image: FloatArray, strength: float) -> FloatArray:
    """SimpleITK discrete Gaussian; strength: standard deviation in pixels."""
    return _through_itk(image, lambda itk, x: itk.DiscreteGaussian(x, variance=strength**2, maximumKernelWidth=32))


def bilateral(image: FloatArray, strength: float) -> FloatArray:
    """SimpleITK bilateral filter; domain 1.5 pixels; strength: range in units of the noise."""
    noise = noise_level(image[None])
    return _through_itk(image, lambda itk, x: itk.Bilateral(x, domainSigma=1.5, rangeSigma=strength * noise))


def curvature_diffusion(image: FloatArray, strength: float) -> FloatArray:
    """SimpleITK curvature anisotropic diffusion, 5 iterations of 0.0625; strength: conductance."""
    return _through_itk(image, lambda itk, x: itk.CurvatureAnisotropicDiffusion(x, 0.0625, strength))


def gradient_diffusion(image: FloatArray, strength: float) -> FloatArray:
    """SimpleITK gradient (Perona-Malik) anisotropic diffusion, 5 iterations of 0.125; strength: conductance."""
    return _through_itk(image, lambda itk, x: itk.GradientAnisotropicDiffusion(x, 0.125, strength))


def non_local_means(image: FloatArray, strength: float) -> FloatArray:
    """scikit-image non-local means, fast mode, 5x5 patches within 6 pixels; strength: h in units of the noise."""
    from skimage.restoration import denoise_nl_means

    h = strength * noise_level(image[None])
    return np.asarray(denoise_nl_means(image, patch_size=5, patch_distance=6, h=h, fast_mode=True))


def total_variation(image: FloatArray, strength: float) -> FloatArray:
    """scikit-image total variation (Chambolle); strength: weight in units of the noise."""
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(image, weight=strength * noise_level(image[None])))


def block_matching(image: FloatArray, strength: float) -> FloatArray:
    """BM3D for white noise (package bm3d); strength: standard deviation of the noise in units of that measured."""
    from bm3d import bm3d

    return np.asarray(bm3d(image.astype(np.float64), strength * noise_level(image[None])), np.float32)


FILTERS = {
    "Gaussian": Filter(gaussian, (0.35, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5)),
    "median": Filter(median, (1, 2)),
    "curvature diffusion": Filter(curvature_diffusion, (0.5, 1, 1.5, 2, 3, 5, 9)),
    "gradient diffusion": Filter(gradient_diffusion, (0.3, 0.5, 0.7, 1, 2, 3, 5)),
    "bilateral": Filter(bilateral, (1, 1.5, 2, 2.5, 3, 4)),
    "non-local means": Filter(non_local_means, (0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6)),
    "total variation": Filter(total_variation, (0.2, 0.4, 0.5, 0.6, 0.75, 0.9, 1.2, 1.6)),
}
BM3D = Filter(block_matching, (0.8, 1.0, 1.2, 1.5, 1.8))
"""About 11 CPU s a 512x512 slice; needs the package bm3d, free for non-commercial use only."""


def tune(peer: Filter, low_dose: NDArray[Any], full_dose: NDArray[Any]) -> float:
    """The strength of the grid with the highest PSNR on one pair of slices ((H, W), HU)."""
    image = low_dose.astype(np.float32)
    return max(peer.strengths, key=lambda strength: psnr(np.rint(peer.run(image, strength)), full_dose))


def _through_itk(image: FloatArray, work: Callable[[Any, Any], Any]) -> FloatArray:
    """``work`` is called with the SimpleITK module and the slice as its image."""
    import SimpleITK

    return np.asarray(SimpleITK.GetArrayFromImage(work(SimpleITK, SimpleITK.GetImageFromArray(image))))
