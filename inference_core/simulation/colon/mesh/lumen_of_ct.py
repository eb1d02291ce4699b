"""The gas-filled lumen of the colon in a CT colonography: gas that is connected with places the user shows.

Region growing below a near-air threshold, as in Li and Santago, Automatic colon segmentation with dual scan CT
colonography, J Digit Imaging 18 (2005) 42. Nothing is guessed: two places in gas that is not connected are told, not
bridged. Fluid, tagged or not, is no gas and stays outside.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.extras import need
from inference_core.image.volume import Volume
from inference_core.simulation.colon.mesh.surface import Points

THRESHOLD = -800.0  # HU: many times the noise above gas (-1000), and far enough below half-way to soft tissue (-480)
THRESHOLDS = (-980.0, -300.0)  # of which gas and tissue are told apart
SNAP = 5.0  # mm that a place may lie beside the gas: a click on the wall
SPECK = 1000.0  # mm3: gas of less is a bubble or a streak


def lumen_of_ct(volume: Volume, seeds: Points, threshold: float = THRESHOLD) -> tuple[NDArray[np.bool_], list[str]]:
    """Find the lumen.

    Parameters
    ----------
    volume : Volume
        CT in HU, any orientation.
    seeds : (N, 3)
        Places in the lumen in mm, LPS; at least one, usually both ends.
    threshold : float
        HU below which a voxel is gas.

    Returns
    -------
    (slices, rows, columns) bool array
    list of str
        What the user should know: seeds that were moved, a lumen that the volume cuts off.

    Raises
    ------
    UserError
        ``not-ct``, ``threshold``, ``seeds``; ``outside-volume``, ``no-gas`` or ``outside-air`` for a seed that lies
        outside the volume, far from gas, or in the air around the patient; ``leak`` where the lumen is connected with
        that air; ``cut-off`` where the gas at one seed is not connected with that at another.
    """
    need("scipy", "colon", "Finding the lumen of a CT")
    from scipy import ndimage

    _check(volume, seeds, threshold)
    parts, count = ndimage.label(volume.voxels < threshold)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    usable = sizes * volume.voxel_volume >= SPECK
    usable[0] = False
    around = np.zeros(count + 1, bool)
    around[_around_patient(parts)] = True
    around[0] = False

    notes: list[str] = []
    found = []
    for number, seed in enumerate(np.asarray(seeds, np.float64), 1):
        name = f"The seed {number} ({_mm(seed)})"
        voxel, moved = _gas_near(volume, parts, usable, around, seed, name, threshold)
        if moved:
            notes.append(f"{name} lay beside the gas: {moved:.1f} mm from there it begins.")
        found.append(int(parts[voxel]))
    for number, part in enumerate(found[1:], 2):
        if part != found[0]:
            millilitres = " and ".join(f"{sizes[p] * volume.voxel_volume / 1000:.0f} ml" for p in (found[0], part))
            raise UserError(
                "cut-off",
                f"The gas at the seed {number} ({_mm(seeds[number - 1])}) is not connected with that at the seed 1"
                f" ({_mm(seeds[0])}): two parts of {millilitres}. In between the lumen is collapsed or full of fluid.",
                "Put all seeds into one part; or raise the threshold a little, if only a thin fold lies in between; or"
                " join the parts by hand in a segmentation.",
            )
    mask = np.asarray(parts == found[0])
    if any(mask.take(end, axis).any() for axis in range(3) for end in (0, -1)):
        notes.append("The lumen reaches the border of the volume: it is cut off there.")
    return mask, notes


def _check(volume: Volume, seeds: Points, threshold: float) -> None:
    if volume.modality not in (None, "CT"):
        raise UserError("not-ct", f"This volume is of modality {volume.modality}, not CT.", "Give a CT colonography.")
    low, high = THRESHOLDS
    if not low <= threshold <= high:
        raise UserError("threshold", f"{threshold:g} HU do not part gas from tissue.", f"Choose {low:g} to {high:g}.")
    shape = np.shape(seeds)
    if len(shape) != 2 or shape[0] < 1 or shape[1] != 3 or not np.isfinite(seeds).all():
        raise UserError("seeds", "There is no place to start from.", "Give a place in the lumen: x, y, z in mm, LPS.")


def _around_patient(parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Gas that reaches an edge of the volume's box: the room. The lungs and a cut-off colon reach its faces only."""
    edges = []
    for first, second in combinations(range(3), 2):
        for ends in product((0, -1), repeat=2):
            at: list[int | slice] = [slice(None)] * 3
            at[first], at[second] = ends
            edges.append(parts[tuple(at)])
    return np.unique(np.concatenate(edges))


def _gas_near(
    volume: Volume,
    parts: NDArray[np.int32],
    usable: NDArray[np.bool_],
    around: NDArray[np.bool_],
    seed: Points,
    name: str,
    threshold: float,
) -> tuple[tuple[int, ...], float]:
    """The voxel of the patient's gas at a seed, or the nearest; and how far it was moved, mm."""
    place = (np.linalg.inv(volume.index_to_lps) @ [*seed, 1.0])[2::-1]
    if not ((place >= -0.5) & (place <= np.array(parts.shape) - 0.5)).all():
        raise UserError("outside-volume", f"{name} lies outside the CT.", "Give x, y, z in mm, LPS, within it.")
    here = tuple(int(k) for k in np.clip(np.rint(place), 0, np.array(parts.shape) - 1))
    if around[parts[here]]:
        raise _in_the_air(parts, here, name)
    if usable[parts[here]]:
        return here, 0.0
    step = np.array(volume.spacing[::-1])
    low = np.maximum(np.floor(place - SNAP / step), 0).astype(int)
    high = np.minimum(np.ceil(place + SNAP / step) + 1, parts.shape).astype(int)
    box = parts[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    near = np.argwhere(usable[box] & ~around[box]) + low
    gaps = np.linalg.norm((near - place) * step, axis=1)
    if not len(gaps) or gaps.min() > SNAP:
        raise UserError(
            "no-gas",
            f"{name} does not lie in gas: {volume.voxels[here]:.0f} HU, and none of the patient's gas below"
            f" {threshold:g} HU within {SNAP:g} mm.",
            "Place it in the dark of the lumen (in Slicer: in a slice view).",
        )
    nearest = int(np.argmin(gaps))
    return tuple(int(k) for k in near[nearest]), float(gaps[nearest])


def _in_the_air(parts: NDArray[np.int32], here: tuple[int, ...], name: str) -> UserError:
    """Why a seed's gas is the room's: it was placed there, or the lumen opens to it."""
    from scipy import ndimage

    pieces, _ = ndimage.label(parts[here[0]] == parts[here])
    rim = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    if pieces[here[1:]] in rim:
        return UserError(
            "outside-air", f"{name} lies in the air around the patient.", "Place it in the gas of the colon."
        )
    return UserError(
        "leak",
        f"The gas at {name[0].lower()}{name[1:]} is connected with the air around the patient.",
        "Lower the threshold, or crop the volume so that the opening (usually at the anus) lies outside (in Slicer:"
        " Crop Volume).",
    )


def _mm(place: Points) -> str:
    return ", ".join(f"{x:.1f}" for x in place) + " mm"
