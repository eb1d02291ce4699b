"""What happens between the light at the lens and the stored picture: exposure, blur, noise, the processor's touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference_core.simulation.colon.rendering.appearance import Appearance, LensLook
from inference_core.simulation.colon.rendering.camera import Camera

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
Picture = NDArray[np.float32]

DISPLAY_GAMMA = 1 / 2.2
STANDARD_HEIGHT = 256  # pixels, to which lengths in a LensLook refer


def through_lens(
    written: NDArray[np.uint8], appearance: Appearance, camera: Camera, seed: int | Sequence[int]
) -> NDArray[np.uint8]:
    """Make the stored picture of the light that the shader wrote; (height, width, 3).

    Parameters
    ----------
    written : (height, width, 3) uint8
        ``(light / brightest) ** gamma``.
    appearance : Appearance
        Without a lens the light is the picture.
    camera : Camera
    seed : int or sequence of int
        Of exposure, tint and noise.
    """
    look = appearance.lens
    if look is None:
        return np.ascontiguousarray(written)
    rng = np.random.default_rng(seed)
    scale = camera.height / STANDARD_HEIGHT
    steps = np.arange(256, dtype=np.float32) / 255
    linear: Picture = (steps ** (1 / appearance.wall.gamma) * appearance.wall.brightest).astype(np.float32)
    visible = appearance.visible(camera)
    light: Picture = linear[written] * _vignette(camera, look.vignette)[..., np.newaxis]
    light = _exposed(light, visible, look, rng)
    light = _blurred(light, look.blur * scale)
    light = _noisy(light, look, rng)
    picture = _developed(np.clip(light, 0, 1) ** np.float32(DISPLAY_GAMMA), look, scale)
    picture[~visible] = 0
    return (picture * 255 + 0.5).astype(np.uint8)


def _vignette(camera: Camera, loss: float) -> Picture:
    """Share of the light that is left at each pixel: ``1 - loss`` in the corners; (height, width)."""
    x = np.linspace(-1, 1, camera.width, dtype=np.float32)
    y = np.linspace(-1, 1, camera.height, dtype=np.float32)[:, np.newaxis]
    return np.asarray(1 - loss * ((x**2 + y**2) / 2) ** 1.5)


def _exposed(light: Picture, visible: NDArray[np.bool_], look: LensLook, rng: np.random.Generator) -> Picture:
    """Brighten or darken towards the brightness aimed at, as the automatic exposure does, and tint a little."""
    aim, red, blue = rng.normal(size=3) * (look.brightness_spread, look.tint_spread, look.tint_spread)
    some = (light[::2, ::2] @ LUMA)[visible[::2, ::2]]
    shown = float((some**DISPLAY_GAMMA).mean())
    gain = (max(look.brightness + aim, 0.05) / max(shown, 1e-3)) ** (1 / DISPLAY_GAMMA)
    gain = float(np.clip(gain, 1 / look.longest_exposure, look.longest_exposure))
    return light * np.array([gain * np.exp(red), gain, gain * np.exp(blue)], dtype=np.float32)


def _blurred(image: Picture, sigma: float) -> Picture:
    """Gaussian blur of (height, width) or of each colour of (height, width, 3)."""
    from scipy.ndimage import gaussian_filter1d

    if sigma <= 0:
        return image
    rows = gaussian_filter1d(image, sigma, axis=0, mode="nearest", truncate=3.0)
    return np.asarray(gaussian_filter1d(rows, sigma, axis=1, mode="nearest", truncate=3.0))


def _noisy(light: Picture, look: LensLook, rng: np.random.Generator) -> Picture:
    """Sensor noise, more of it in the light but less for its brightness; a part of it differs between the colours."""
    shape = light.shape[:2]
    spread = np.sqrt(look.read_noise**2 + look.shot_noise**2 * np.maximum(light, 0))
    noise = rng.standard_normal((*shape, 1), dtype=np.float32)
    colour = rng.standard_normal((*shape, 3), dtype=np.float32)
    return np.asarray(light + spread * (noise + np.float32(look.colour_noise) * colour))


def _developed(picture: Picture, look: LensLook, scale: float) -> Picture:
    """Edge enhancement, and colours that are coarser than the brightness, as the processor and its video coding do."""
    brightness = picture @ LUMA
    colours = _blurred(picture - brightness[..., np.newaxis], look.colour_blur * scale)
    ring = brightness - _blurred(brightness, look.sharpening_radius * scale)
    sharp = (brightness + np.float32(look.sharpening) * ring)[..., np.newaxis]
    whole = sharp + np.float32(look.saturation) * colours
    return np.clip((whole - np.float32(look.black)) / np.float32(1 - look.black), 0, 1)
