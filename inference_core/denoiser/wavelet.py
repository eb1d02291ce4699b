"""The wavelet split: what the network may touch (high band) and what it may not (low band).

The CT paper (Jung et al., MICCAI 2022, section 2.1) pads a slice, takes a db3 wavelet transform, zeroes the
approximation band and transforms back; the network sees only that high band. All of it is linear and separable, so
the low band of a slice x is

    low = P_h x P_w^T,        P = R D  (per axis),

with D the decimating analysis (18 x 512 at level 6) and R the synthesis. Both are read off once from PyWavelets by
transforming an identity matrix. Four thin matrix products then replace the transform: exact, and many times faster.

P is not a projection (cropping and padding again do not commute with it), so a residual that went once more through
the high-pass would still move the low band. :func:`remove_low_band` therefore uses the orthogonal projector onto
P's row space, Q = P^+ P: r' = r - Q_h r Q_w^T leaves P_h r' P_w^T = 0. Several levels at once are kept by the projector
onto the sum of their row spaces.

What P lets through by less than :data:`NEGLIGIBLE` of its largest gain is not kept: such directions are thin lines
across the slice (they come of the padding's rim), and keeping them would keep the noise along them, for all to see.
Left out, they let 100 HU of noise move the low band of a 512x512 slice by 0.4 HU at most (at its corners), less than
rounding does.

The wavelet is the card's: db3 is the paper's; its scaling function has kinks, which show as a weave where an image is
otherwise clean, and sym8's has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

WAVELET = "db3"
LEVEL = 6
NEGLIGIBLE = 0.03
RIDGE = 1e-5  # beside overlaps of 0 to 1

ArrayOrTensor = TypeVar("ArrayOrTensor", NDArray[Any], "Tensor")


@dataclass(frozen=True)
class AxisLowPass:
    """The low-pass of one image axis of ``n`` pixels, as thin matrices (float64).

    Attributes
    ----------
    analysis : (k, n) array
        D: pixels to the k approximation coefficients.
    synthesis : (n, k) array
        R: coefficients back to pixels; P = R D.
    row_space : (n, rank) array
        Orthonormal basis V of P's row space, but for its negligible directions; Q = V V^T.
    """

    analysis: NDArray[np.float64]
    synthesis: NDArray[np.float64]
    row_space: NDArray[np.float64]


def padding_widths(length: int, level: int = LEVEL, wavelet: str = WAVELET) -> tuple[int, int]:
    """Pixels of symmetric padding before and after an axis, by the paper's rule.

    Filter length times 2^level, plus what reaches a multiple of 2^level, split in two (512 at level 6: 192 + 192).
    """
    import pywt

    block = 2**level
    total = pywt.Wavelet(wavelet).dec_len * block + (-length) % block
    return total // 2, total - total // 2


@lru_cache(maxsize=64)
def axis_low_pass(length: int, level: int = LEVEL, wavelet: str = WAVELET) -> AxisLowPass:
    """Read the low-pass of one axis off PyWavelets.

    Parameters
    ----------
    length : int
        Pixels along the axis, >= 8.
    level, wavelet
        Of the decomposition; boundary mode ``symmetric``.

    Raises
    ------
    ValueError
        For an axis shorter than 8 pixels.
    """
    if length < 8:
        raise ValueError(f"A slice needs at least 8 pixels on each side for the wavelet split, not {length}.")
    import warnings

    import pywt

    before, after = padding_widths(length, level, wavelet)
    padded = np.pad(np.eye(length), ((before, after), (0, 0)), mode="symmetric")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "level too high": the paper's padding is made for it
        coefficients = pywt.wavedec(padded, wavelet, mode="symmetric", level=level, axis=0)
    analysis = coefficients[0]
    bands = [np.eye(len(analysis))] + [np.zeros((len(c), len(analysis))) for c in coefficients[1:]]
    synthesis = pywt.waverec(bands, wavelet, mode="symmetric", axis=0)[before : before + length]

    _, strength, rows = np.linalg.svd(synthesis @ analysis)
    rank = int(np.sum(strength > NEGLIGIBLE * strength[0]))
    return AxisLowPass(analysis, np.ascontiguousarray(synthesis), np.ascontiguousarray(rows[:rank].T))


def low_band(image: ArrayOrTensor, level: int = LEVEL, wavelet: str = WAVELET) -> ArrayOrTensor:
    """Low band of one or many slices: P_h x P_w^T.

    Parameters
    ----------
    image : array or tensor, (..., rows, columns)
        In HU. A numpy array is worked on in float32 if it is of that type, else in float64; a tensor in its own type
        and place.

    Returns
    -------
    array (float32 or float64) or tensor (as ``image``), same shape, HU.
    """
    x, height, width = _with_axes(image, level, wavelet)
    low: ArrayOrTensor = height[1] @ (height[0] @ x @ width[0].T) @ width[1].T
    return low


def split(image: ArrayOrTensor, level: int = LEVEL, wavelet: str = WAVELET) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Split slices into (low band, high band); their sum is the image."""
    low = low_band(image, level, wavelet)
    return low, image - low


def remove_low_band(
    residual: ArrayOrTensor, levels: tuple[int, ...] = (LEVEL,), wavelet: str = WAVELET
) -> ArrayOrTensor:
    """Clean a residual so that adding it leaves the low bands of all ``levels`` as they were: r - Q_h r Q_w^T.

    Parameters
    ----------
    residual : array or tensor, (..., rows, columns)
        As for :func:`low_band`.
    levels : tuple of int
        Level 6 keeps what is coarser than about 64 pixels, level 3 what is coarser than about 8.

    Returns
    -------
    As :func:`low_band`.
    """
    bases: list[Any] = [kept_basis(int(n), levels, wavelet) for n in residual.shape[-2:]]
    if isinstance(residual, np.ndarray):
        r: Any = _as_float(residual)
        bases = [basis.astype(r.dtype, copy=False) for basis in bases]
    else:
        r, bases = residual, [residual.new_tensor(basis) for basis in bases]
    v_height, v_width = bases
    cleaned: ArrayOrTensor = r - v_height @ (v_height.T @ r @ v_width) @ v_width.T
    return cleaned


def remove_low_band_within(
    residual: NDArray[Any],
    free: NDArray[np.bool_],
    levels: tuple[int, ...] = (LEVEL,),
    wavelet: str = WAVELET,
) -> NDArray[Any]:
    """As :func:`remove_low_band`, for a residual that must be zero outside ``free``.

    Zeroing the cleaned residual there would move the low band again. The least change within ``free`` that puts back
    the coarsest level, V c V^T there, is found from its few coefficients c: (V^T V over ``free``) c = what is left.
    Finer levels are kept but near the rim of ``free``.

    Parameters
    ----------
    residual : (rows, columns) array
    free : (rows, columns) bool array
        Pixels that may change.

    Returns
    -------
    (rows, columns) array of the residual's kind (see :func:`low_band`), zero outside ``free``.
    """
    inside = free.astype(_as_float(residual[:1]).dtype)
    cleaned = remove_low_band(residual * inside, levels, wavelet) * inside
    v_height, v_width = (kept_basis(n, (max(levels),), wavelet).astype(inside.dtype) for n in residual.shape)
    left = v_height.T @ cleaned @ v_width
    overlap = _products(v_height).T @ inside @ _products(v_width)  # of columns a, b and rows c, d: [ac, bd]
    shape = (v_height.shape[1],) * 2 + (v_width.shape[1],) * 2
    system = overlap.reshape(shape).transpose(0, 2, 1, 3).reshape(left.size, left.size)
    system[np.diag_indices(left.size)] += RIDGE  # where hardly a pixel is free, the coefficients are not unique
    coefficients = np.linalg.solve(system, left.ravel()).reshape(left.shape)
    cleaned -= (v_height @ coefficients @ v_width.T) * inside
    return cleaned


def _products(basis: NDArray[Any]) -> NDArray[Any]:
    """(length, rank^2) products of each two columns."""
    return (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)


@lru_cache(maxsize=64)
def kept_basis(length: int, levels: tuple[int, ...], wavelet: str = WAVELET) -> NDArray[np.float64]:
    """(length, rank) orthonormal basis of what the low-passes of ``levels`` see of an axis."""
    rows = np.concatenate([axis_low_pass(length, level, wavelet).row_space for level in levels], axis=1)
    basis, strength, _ = np.linalg.svd(rows, full_matrices=False)
    return np.ascontiguousarray(basis[:, strength > NEGLIGIBLE * strength[0]])


def _with_axes(image: Any, level: int, wavelet: str) -> tuple[Any, list[Any], list[Any]]:
    """``image`` and D and R of its two axes, all of one kind (numpy float32 or float64, or tensors like ``image``)."""
    axes = [axis_low_pass(int(n), level, wavelet) for n in image.shape[-2:]]
    matrices = [[axis.analysis, axis.synthesis] for axis in axes]
    if isinstance(image, np.ndarray):
        image = _as_float(image)
        height, width = ([m.astype(image.dtype, copy=False) for m in axis] for axis in matrices)
        return image, height, width
    height, width = ([image.new_tensor(m) for m in axis] for axis in matrices)
    return image, height, width


def _as_float(image: NDArray[Any]) -> NDArray[Any]:
    return image if image.dtype == np.float32 else image.astype(np.float64, copy=False)
