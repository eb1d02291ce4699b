"""Parallel-beam CT: exact projections of ellipsoids, photon noise, filtered back-projection.

The ray of angle theta and offset s runs along (-sin theta, cos theta) through the point s (cos theta, sin theta) of
its slice; angles are equally spaced over 180 degrees. x runs along columns, y along rows, z along slices, in mm, with
0 at the centre of the detector and of the image. A sinogram is (views, detectors, slices).

Source: Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), chapter 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

WATER_ATTENUATION = 0.0192  # per mm, about 70 keV
SUB_RAYS = 2  # across a detector cell
SUB_SLICES = 3  # across the slice thickness
UPSAMPLING = 8  # of the filtered views, after which the nearest sample serves as interpolation
RAYS_AT_ONCE = 30_000  # keeps the work arrays in the processor's cache, and below the size that malloc maps anew
PIXELS_AT_ONCE = 2048
VIEWS_AT_ONCE = 16
THREADS = 2


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """A solid ellipsoid; equal only to itself, which makes sets of many of them quick.

    Attributes
    ----------
    centre : (x, y, z)
        mm.
    semi_axes : (a, b, c)
        mm, before the rotation along x, y, z.
    axes : 9 numbers
        Row-major 3x3 rotation; its columns are the directions of the semi-axes.
    """

    centre: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    axes: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def shape(self) -> FloatArray:
        """(3, 3) matrix A: the ellipsoid is (p - centre)^T A (p - centre) <= 1."""
        turn = np.reshape(self.axes, (3, 3))
        return turn @ np.diag(1 / np.square(self.semi_axes)) @ turn.T

    @property
    def spread(self) -> FloatArray:
        """(3, 3) inverse of :attr:`shape`; sqrt(n^T spread n) is the half-width along a unit vector n."""
        turn = np.reshape(self.axes, (3, 3))
        return turn @ np.diag(np.square(self.semi_axes)) @ turn.T

    def level(self, points: FloatArray) -> FloatArray:
        """0 at the centre, 1 on the surface, growing as the distance does; ``points`` is (..., 3) in mm."""
        unturned = (points - self.centre) @ np.reshape(self.axes, (3, 3)) / self.semi_axes
        return np.sqrt(np.square(unturned).sum(-1))


# Density of each body; a body is where all its ellipsoids overlap, and densities add up where bodies do.
Bodies = Mapping[frozenset[Ellipsoid], float]


def line_integrals(bodies: Bodies, views: int, detectors: int, pitch: float, slices: int,
                   thickness: float) -> Float32Array:  # fmt: skip
    """Project bodies exactly: density times the length of each ray inside them.

    The overlap of ellipsoids is convex, so a ray's part in it runs from the last entry to the first exit. A detector
    cell is the mean of ``SUB_RAYS`` rays across it in each of ``SUB_SLICES`` planes across the slice.

    Parameters
    ----------
    bodies : mapping of a set of ellipsoids to a density
        See :data:`Bodies`.
    views, detectors, slices : int
        Size of the sinogram.
    pitch, thickness : float
        Width of a detector cell and thickness of a slice, mm.

    Returns
    -------
    (views, detectors, slices) array
        Density x mm.
    """
    sinogram = np.zeros((views, detectors, slices), np.float32)
    for body, density in bodies.items():
        _add_body(sinogram, sorted(body, key=lambda part: (part.semi_axes, part.centre)), density, pitch, thickness)
    return sinogram


def _add_body(sinogram: Float32Array, parts: list[Ellipsoid], density: float, pitch: float, thickness: float) -> None:
    """Add one body, touching only the detector cells its shadow falls on."""
    views, detectors, slices = sinogram.shape
    angles = np.arange(views) * np.pi / views
    cosine, sine = np.cos(angles), np.sin(angles)
    first_z, last_z = _cells([(part.centre[2], np.sqrt(part.spread[2, 2])) for part in parts], slices, thickness)
    if first_z >= last_z:
        return
    z = _positions(np.arange(first_z * SUB_SLICES, last_z * SUB_SLICES), SUB_SLICES, slices, thickness)
    shadows = [_shadow(part, cosine, sine) for part in parts]
    low = np.max([middle - half for middle, half in shadows], axis=0)
    high = np.min([middle + half for middle, half in shadows], axis=0)
    if np.any(high <= low):
        return
    width = min(int(np.ceil((high - low).max() / pitch)) + 1, detectors)
    first = np.floor(low / pitch + detectors / 2).astype(int)
    first = np.clip(first, 0, detectors - width)
    quadrics = [_quadric(part, cosine, sine) for part in parts]
    at_once = max(1, RAYS_AT_ONCE // (width * SUB_RAYS * len(z)))
    for start in range(0, views, at_once):
        v = slice(start, min(start + at_once, views))
        rays = first[v, None] * SUB_RAYS + np.arange(width * SUB_RAYS)
        s = _positions(rays, SUB_RAYS, detectors, pitch)
        length = _overlap([quadric[:, v] for quadric in quadrics], s, z)
        # Sums of strided views: numpy's own sum over short axes is several times slower.
        cells = sum(length[:, k::SUB_RAYS] for k in range(1, SUB_RAYS)) + length[:, ::SUB_RAYS]
        cells = sum(cells[:, :, k::SUB_SLICES] for k in range(1, SUB_SLICES)) + cells[:, :, ::SUB_SLICES]
        cells *= np.float32(density / (SUB_RAYS * SUB_SLICES))
        at = first[v, None] + np.arange(width)
        sinogram[np.arange(v.start, v.stop)[:, None], at, first_z:last_z] += cells


def _shadow(part: Ellipsoid, cosine: FloatArray, sine: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Middle and half-width of an ellipsoid's shadow in each view, mm."""
    spread = part.spread
    half = np.sqrt(spread[0, 0] * cosine**2 + 2 * spread[0, 1] * cosine * sine + spread[1, 1] * sine**2)
    return part.centre[0] * cosine + part.centre[1] * sine, half


def _quadric(part: Ellipsoid, cosine: FloatArray, sine: FloatArray) -> FloatArray:
    """An ellipsoid as each view sees it.

    With offsets (s, t, z) from its centre across the rays, along them, and along z, completing the quadratic form to a
    square in t gives (t + a s + b z)^2 = c - d s^2 - e s z - f z^2 on its surface.

    Returns
    -------
    (9, views) array
        a, b, c, d, e, f, and the centre's s, t, z.
    """
    shape, (x, y, z) = part.shape, part.centre
    across = np.stack([cosine, sine], -1)
    along = np.stack([-sine, cosine], -1)
    plane, to_z = shape[:2, :2], shape[:2, 2]
    tt = np.einsum("vi,ij,vj->v", along, plane, along)
    a = np.einsum("vi,ij,vj->v", across, plane, along) / tt
    b = along @ to_z / tt
    d = np.einsum("vi,ij,vj->v", across, plane, across) / tt - a * a
    e = 2 * (across @ to_z / tt - a * b)
    f = shape[2, 2] / tt - b * b
    return np.stack([a, b, 1 / tt, d, e, f, x * cosine + y * sine, -x * sine + y * cosine, np.full_like(tt, z)])


def _overlap(quadrics: list[FloatArray], s: FloatArray, z: FloatArray) -> Float32Array:
    """(views, rays, planes) length of each ray inside all of the ellipsoids, mm."""
    if len(quadrics) == 1:
        length = _half_chord(quadrics[0], s, z)
        length *= 2
        return np.fmax(length, 0, out=length)
    entry, leave = _entry_and_exit(quadrics[0], s, z)
    for quadric in quadrics[1:]:
        next_entry, next_exit = _entry_and_exit(quadric, s, z)
        np.maximum(entry, next_entry, out=entry)  # NaN, a miss, stays NaN
        np.minimum(leave, next_exit, out=leave)
    leave -= entry
    return np.fmax(leave, 0, out=leave)


def _entry_and_exit(quadric: FloatArray, s: FloatArray, z: FloatArray) -> tuple[Float32Array, Float32Array]:
    """Where each ray enters and leaves an ellipsoid, along the ray from the foot of the origin; NaN on a miss."""
    a, b = quadric[:2, :, None, None]
    at_s, at_t, at_z = quadric[6:, :, None, None]
    half = _half_chord(quadric, s, z)
    middle = (at_t - a * (s[:, :, None] - at_s)).astype(np.float32) - (b * (z - at_z)).astype(np.float32)
    leave = middle + half
    middle -= half
    return middle, leave


def _half_chord(quadric: FloatArray, s: FloatArray, z: FloatArray) -> Float32Array:
    """Half the length of each ray inside an ellipsoid; NaN on a miss."""
    c, d, e, f = quadric[2:6, :, None, None]
    s, z = s[:, :, None] - quadric[6, :, None, None], z - quadric[8, :, None, None]
    square = (c - d * s * s).astype(np.float32) - (f * z * z).astype(np.float32)
    if np.any(np.abs(e) > 1e-12):
        square -= (e * s).astype(np.float32) * z.astype(np.float32)
    with np.errstate(invalid="ignore"):
        return np.sqrt(square, out=square)


def _cells(spans: list[tuple[float, float]], count: int, size: float) -> tuple[int, int]:
    """First and last + 1 of the cells of a centred row that all spans (middle, half-width) touch."""
    low = max(middle - half for middle, half in spans) / size + count / 2
    high = min(middle + half for middle, half in spans) / size + count / 2
    return max(int(np.floor(low)), 0), min(int(np.ceil(high)), count)


def _positions(index: NDArray[np.intp], parts: int, count: int, size: float) -> FloatArray:
    """Position in mm of sub-samples, ``parts`` to a cell of a centred row of ``count`` cells."""
    return ((index + 0.5) / parts - count / 2) * size


def add_photon_noise(sinogram: Float32Array, photons: float, electronic: float,
                     rng: np.random.Generator) -> Float32Array:  # fmt: skip
    """Line integrals as a detector would count them.

    Parameters
    ----------
    sinogram : array
        Noise-free line integrals of the attenuation (no unit).
    photons : float
        Per ray, without an object.
    electronic : float
        Standard deviation of the electronic noise, in photons.
    rng : Generator

    Returns
    -------
    Array of the same shape: -log of Poisson counts plus Gaussian noise, no count below 1.
    """
    noisy = np.empty_like(sinogram)
    for view, clean in enumerate(sinogram):
        counts = rng.poisson(photons * np.exp(-clean)) + electronic * rng.standard_normal(clean.shape)
        noisy[view] = np.log(photons / np.maximum(counts, 1))
    return noisy


def filtered_back_projection(sinogram: Float32Array, size: int, pixel: float, pitch: float,
                             flat_to: float = 0.6) -> Float32Array:  # fmt: skip
    """Reconstruct slices.

    Parameters
    ----------
    sinogram : (views, detectors, slices) array
        Line integrals over 180 degrees.
    size : int
        Pixels a side.
    pixel, pitch : float
        Pixel size and detector pitch, mm.
    flat_to : float
        Fraction of the Nyquist frequency up to which the ramp is whole; from there a cosine bell takes it to zero at
        Nyquist. 1 is the bare ramp (Ram-Lak), 0 the Hann kernel.

    Returns
    -------
    (slices, size, size) float32 array
        Attenuation per mm; 0 outside :func:`reconstruction_circle`.
    """
    views, detectors, slices = sinogram.shape
    inside = reconstruction_circle(size, pixel, detectors, pitch)
    rows, columns = np.nonzero(inside)
    x = ((columns - (size - 1) / 2) * (pixel / pitch * UPSAMPLING)).astype(np.float32)
    y = ((rows - (size - 1) / 2) * (pixel / pitch * UPSAMPLING)).astype(np.float32)
    middle = np.float32((detectors - 1) / 2 * UPSAMPLING + 0.5)  # 0.5: the cast to an index rounds down
    angles = np.arange(views) * np.pi / views
    gain = _filter_gain(detectors, pitch, flat_to) * (np.pi / views)
    total = np.zeros((len(x), slices), np.float32)

    def add_views(pixels: slice, filtered: Float32Array, first: int) -> None:
        taken = np.empty_like(total[pixels])
        for view, samples in enumerate(filtered, first):
            at = x[pixels] * np.float32(np.cos(angles[view])) + y[pixels] * np.float32(np.sin(angles[view])) + middle
            np.take(samples, at.astype(np.intp), axis=0, out=taken, mode="clip")
            total[pixels] += taken

    blocks = [slice(start, start + PIXELS_AT_ONCE) for start in range(0, len(x), PIXELS_AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, views, VIEWS_AT_ONCE):
            chunks = [sinogram[v : v + 1] for v in range(first, min(first + VIEWS_AT_ONCE, views))]
            filtered = np.concatenate(list(pool.map(lambda chunk: _filter_views(chunk, gain), chunks)))
            list(pool.map(lambda pixels: add_views(pixels, filtered, first), blocks))  # noqa: B023 - used at once
    image = np.zeros((slices, size, size), np.float32)
    image[:, inside] = total.T
    return image


def reconstruction_circle(size: int, pixel: float, detectors: int, pitch: float) -> NDArray[np.bool_]:
    """(size, size) mask of the pixels that every view sees, within the circle that touches the image's sides."""
    t = (np.arange(size) - (size - 1) / 2) * pixel
    return np.hypot(t[:, None], t[None]) <= min(size * pixel, (detectors - 1) * pitch) / 2


def _filter_gain(detectors: int, pitch: float, flat_to: float) -> FloatArray:
    """Transfer function of the ramp filter at the frequencies of a real FFT, per mm.

    It is the transform of the band-limited ramp sampled in space, not |f| itself, which would lose the mean.
    """
    length = 1 << int(np.ceil(np.log2(2 * detectors)))
    n = np.minimum(np.arange(length), length - np.arange(length))
    odd = n % 2 == 1
    ramp = np.zeros(length)
    ramp[0] = 1 / (4 * pitch)
    ramp[odd] = -1 / (np.pi**2 * n[odd] ** 2 * pitch)
    frequency = np.arange(length // 2 + 1) / (length // 2)
    fall = np.clip((frequency - flat_to) / max(1 - flat_to, 1e-9), 0, 1)
    gain: FloatArray = np.fft.rfft(ramp).real * (0.5 + 0.5 * np.cos(np.pi * fall))
    return gain


def _filter_views(views: Float32Array, gain: FloatArray) -> Float32Array:
    """Filter and upsample: (views, detectors, slices) to (views, UPSAMPLING x detectors, slices)."""
    length = 2 * (len(gain) - 1)
    detectors = views.shape[1]
    lines = np.ascontiguousarray(views.transpose(0, 2, 1))
    spectrum = np.fft.rfft(lines, length, axis=-1) * (gain * UPSAMPLING).astype(np.float32)
    upsampled = np.fft.irfft(spectrum, length * UPSAMPLING, axis=-1)[..., : detectors * UPSAMPLING]
    return np.ascontiguousarray(upsampled.transpose(0, 2, 1), np.float32)
