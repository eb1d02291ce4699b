"""How the wall looks and how the endoscope records it: read from data files, so that a new look needs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.simulation.colon.rendering.camera import Camera

Colour = tuple[float, float, float]
FOLDER = files(__package__) / "appearances"


@dataclass(frozen=True)
class WallLook:
    """What ``shaders/wall.frag.glsl`` draws: each value is a uniform of the same name. Colours are linear light.

    Attributes
    ----------
    colour, patchColour : red, green, blue
        Of the mucosa and of the patches in it; ``patches`` (0 to 1) is how strongly they show.
    colourSpread : float
        How much green and blue differ from one colon to the next (standard deviation of the logarithm).
    vesselColour, deepVesselColour : red, green, blue
        What light is multiplied by at the middle of a vessel near the surface, and of one below it.
    vessels : float
        0 to 1; 0 draws none.
    textureSize : float
        mm after which the pattern of vessels and patches repeats.
    lightReach, lightFloor : float
        Light falls off as 1 / (lightFloor + (distance / lightReach)²); mm.
    lightApart : float
        mm from the lens to each of the two light guides; 0: one light at the lens.
    ambient : red, green, blue
        Light that the rest of the tube throws back, as a share of what falls on the wall.
    wrap : red, green, blue
        How far light creeps round an edge through the tissue, 0 to 1.
    shine : float
        Strength of the wet film's reflections; ``gloss`` is the exponent of their lobe.
    gloss : float
    bumps : float
        Slope of the film's ripples; ``bumpSize`` is the mm after which they repeat.
    bumpSize : float
    brightest : float
        Light that is written as white.
    gamma : float
        Exponent under which light is written.
    """

    colour: Colour
    patchColour: Colour  # noqa: N815 - names of the shader's uniforms
    patches: float
    colourSpread: float  # noqa: N815
    vesselColour: Colour  # noqa: N815
    deepVesselColour: Colour  # noqa: N815
    vessels: float
    textureSize: float  # noqa: N815
    lightReach: float  # noqa: N815
    lightFloor: float  # noqa: N815
    lightApart: float  # noqa: N815
    ambient: Colour
    wrap: Colour
    shine: float
    gloss: float
    bumps: float
    bumpSize: float  # noqa: N815
    brightest: float
    gamma: float


@dataclass(frozen=True)
class LensLook:
    """What `inference_core.simulation.colon.rendering.lens` does to the light; lengths in pixels of a picture 256 high.

    Attributes
    ----------
    brightness, brightness_spread : float
        Mean of the picture that the automatic exposure aims at (0 to 1), and its spread from frame to frame.
    longest_exposure : float
        Times that the exposure may brighten or darken at most.
    tint_spread : float
        Spread of red and blue from frame to frame (white balance).
    black : float
        Of the range of brightness, what is shown as black.
    saturation : float
        1 leaves the colours as they are.
    vignette : float
        Share of the light lost in the corner.
    blur, colour_blur : float
        Standard deviation of the lens's blur, and of the colour differences' blur in the camera's coding.
    sharpening, sharpening_radius : float
        Strength and radius of the processor's edge enhancement.
    shot_noise, read_noise, colour_noise : float
        Standard deviation at full light (falling with its root), in the dark, and the colours' share; white is 1.
    corner : float
        Share of the picture's side that the black octagon cuts from each corner; 0: none.
    """

    brightness: float
    brightness_spread: float
    longest_exposure: float
    tint_spread: float
    black: float
    saturation: float
    vignette: float
    blur: float
    colour_blur: float
    sharpening: float
    sharpening_radius: float
    shot_noise: float
    read_noise: float
    colour_noise: float
    corner: float


@dataclass(frozen=True)
class Appearance:
    """A look: the wall, and the lens unless the picture is the bare light.

    Attributes
    ----------
    name : str
    summary : str
        One line for people.
    wall : WallLook
    lens : LensLook or None
    """

    name: str
    summary: str
    wall: WallLook
    lens: LensLook | None

    def visible(self, camera: Camera) -> NDArray[np.bool_]:
        """Pixels that the picture shows, i.e. all but the black corners of the octagon; (height, width)."""
        height, width = camera.height, camera.width
        corner = self.lens.corner * min(height, width) if self.lens else 0.0
        columns = np.minimum(np.arange(width), np.arange(width)[::-1])
        rows = np.minimum(np.arange(height), np.arange(height)[::-1])
        return np.asarray(rows[:, np.newaxis] + columns >= corner)


def of_one_colon(look: WallLook, seed: int) -> WallLook:
    """The look with this colon's own colour: no two people have the same."""
    green, blue = np.exp(np.random.default_rng((seed, 3)).normal(size=2) * look.colourSpread)

    def shifted(colour: Colour) -> Colour:
        return (colour[0], colour[1] * green, colour[2] * green * blue)

    return replace(look, colour=shifted(look.colour), patchColour=shifted(look.patchColour))


def list_appearances() -> list[str]:
    """Names of the appearances that come with the package."""
    return sorted(Path(entry.name).stem for entry in FOLDER.iterdir() if entry.name.endswith(".json"))


def load_appearance(name: str | Path) -> Appearance:
    """Read an appearance by the name of one that comes with the package, or from a JSON file.

    Raises
    ------
    UserError
        ``bad-appearance``: there is no such name or file, or a value is missing, unknown or no number.
    """
    listed = list_appearances()
    source = FOLDER / f"{name}.json" if str(name) in listed else Path(name)
    try:
        values = json.loads(source.read_text(encoding="utf-8"))
        lens = values["lens"]
        return Appearance(
            name=str(values["name"]),
            summary=str(values["summary"]),
            wall=_read(WallLook, values["wall"]),
            lens=None if lens is None else _read(LensLook, lens),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "bad-appearance",
            f"The appearance {name} cannot be read: {error}.",
            f"Give one of {', '.join(listed)}, or a JSON file with the same entries as theirs.",
        ) from error


def _read(kind: type[Any], values: dict[str, Any]) -> Any:
    """A look from JSON: every field there, none unknown, all finite numbers."""
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        wrong = ", ".join(sorted(set(values) ^ names))
        raise ValueError(f"missing or unknown entries: {wrong}")
    read = {}
    for field in fields(kind):
        value = values[field.name]
        numbers = tuple(float(v) for v in (value if isinstance(value, list) else [value]))
        expected = 3 if field.type == "Colour" else 1
        if len(numbers) != expected or not np.isfinite(numbers).all() or min(numbers) < 0:
            raise ValueError(f"{field.name} must hold {expected} finite number(s) of 0 or more, not {value}")
        read[field.name] = numbers if expected == 3 else numbers[0]
    return kind(**read)
