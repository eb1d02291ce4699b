"""A made low-dose CT of both temporal bones, its noise-free truth, and regions of known tissue.

An analytic phantom (no patient): head, skull, petrous bones with labyrinth and internal auditory canals, middle ears
with ossicles, antra, ear canals and mastoid air cells. It is projected exactly, given photon noise at the level of the
temporal-bone CTs of Jung et al. (MICCAI 2022: about 290 HU in the brain), and reconstructed with a sharp kernel.

As in a scanner, the log of a starved count errs upward: the mean of dense bone lies some 30 HU higher in the low-dose
CT than in the truth. And air is clipped at -1024 HU, so its noise lifts its mean. What a denoiser moved is therefore to
be measured against the low-dose CT.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference_core.image.reading import volume_suffix
from inference_core.image.volume import Volume
from inference_core.image.writing import check_writable, write_volume
from inference_core.scratch import scratch_folder
from inference_core.simulation.head_anatomy import Detail, Roi, head
from inference_core.simulation.projection import (
    WATER_ATTENUATION,
    add_photon_noise,
    filtered_back_projection,
    line_integrals,
    reconstruction_circle,
)

SIZE = 384  # pixels a side
SPACING = 0.6  # mm, all three axes; also the detector pitch
VIEWS = 720
DETECTORS = 400
PHOTONS = 6300.0  # per ray; set so that the noise in the brain is about 250 HU
ELECTRONIC_NOISE = 10.0  # photons
PADDING = -1024


@dataclass(frozen=True)
class TemporalBoneSample:
    """The made CT.

    Attributes
    ----------
    volume, truth : Volume
        Low-dose CT and the same without noise, int16 HU, padding -1024 outside the reconstruction circle.
    rois : tuple of Roi
        brain, air, soft tissue, cavity, bone.
    details : tuple of Detail
        Those that lie in the volume.
    """

    volume: Volume
    truth: Volume
    rois: tuple[Roi, ...]
    details: tuple[Detail, ...]


def temporal_bone(seed: int = 0, slices: int = 32, photons: float = PHOTONS) -> TemporalBoneSample:
    """Make the sample.

    Parameters
    ----------
    seed : int
        Of the anatomy's variation and of the noise; the same seed gives the same voxels.
    slices : int
        0.6 mm each, about the middle of the temporal bones; fewer are made faster.
    photons : float
        Per ray before the head; 40 times the default is the noise of a full dose.

    Returns
    -------
    TemporalBoneSample
        384 x 384 pixels of 0.6 mm, centred at LPS (0, 0, 0).
    """
    scene, rois, details = head(seed)
    bodies = {body: density * WATER_ATTENUATION for body, density in scene.bodies.items()}
    clean = line_integrals(bodies, VIEWS, DETECTORS, SPACING, slices, SPACING)
    noisy = add_photon_noise(clean, photons, ELECTRONIC_NOISE, np.random.default_rng([seed, 1]))
    both = np.concatenate([noisy, clean], axis=2)
    attenuation = filtered_back_projection(both, SIZE, SPACING, SPACING)
    hu = np.clip(1000 * (attenuation / WATER_ATTENUATION - 1), -1024, 3071)
    hu[:, ~reconstruction_circle(SIZE, SPACING, DETECTORS, SPACING)] = PADDING
    voxels = np.rint(hu).astype(np.int16)
    half = slices * SPACING / 2
    volume = Volume(
        voxels=voxels[:slices],
        spacing=(SPACING, SPACING, SPACING),
        origin=(-(SIZE - 1) / 2 * SPACING, -(SIZE - 1) / 2 * SPACING, SPACING / 2 - half),
        modality="CT",
        kernel="sharp (phantom)",
        padding_value=PADDING,
    )
    return TemporalBoneSample(
        volume=volume,
        truth=volume.with_voxels(voxels[slices:]),
        rois=tuple(_cut(roi, half) for roi in rois),
        details=tuple(detail for detail in details if abs(detail.centre[2]) + detail.diameter / 2 <= half),
    )


def temporal_bone_details(seed: int = 0) -> list[Detail]:
    """Ossicles and spheres of 0.6 to 2 mm of the sample with this seed, to measure contrast on."""
    return head(seed)[2]


def sample_paths(out: Path) -> list[Path]:
    """The files :func:`write_sample` writes: ``out``, its truth, its ROIs.

    Raises
    ------
    UserError
        Where one of them cannot be written, e.g. ``output-format`` for a suffix that is no volume format.
    """
    check_writable(out)
    suffix = volume_suffix(out) or ""
    stem = out.name[: -len(suffix)]
    paths = [out, out.with_name(f"{stem}_truth{suffix}"), out.with_name(f"{stem}_rois.mrk.json")]
    check_writable(paths[1])
    return paths


def write_sample(sample: TemporalBoneSample, out: Path) -> list[Path]:
    """Write the CT, and beside it ``<name>_truth`` and ``<name>_rois.mrk.json`` (3D Slicer Markups).

    Each file is written whole or not at all.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        As :func:`sample_paths` and :func:`~inference_core.image.writing.write_volume`.
    """
    volume, truth, rois = sample_paths(out)
    write_volume(sample.volume, volume)
    write_volume(sample.truth, truth)
    with scratch_folder(rois.resolve().parent) as aside:
        (aside / rois.name).write_text(json.dumps(rois_as_markups(sample.rois), indent=4) + "\n", encoding="utf-8")
        os.replace(aside / rois.name, rois)
    return [volume, truth, rois]


def rois_as_markups(rois: tuple[Roi, ...]) -> dict[str, object]:
    """ROIs as the content of a 3D Slicer ``.mrk.json`` file, Markups schema 1.0.3."""
    return {
        "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
        "markups-schema-v1.0.3.json#",
        "markups": [_roi_as_markup(roi) for roi in rois],
    }


def _roi_as_markup(roi: Roi) -> dict[str, object]:
    # Slicer's own axes are RAS: its unturned box is this one in LPS.
    orientation = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
    return {
        "type": "ROI",
        "name": roi.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 1,
        "roiType": "Box",
        "center": list(roi.centre),
        "orientation": orientation,
        "size": list(roi.size),
        "insideOut": False,
        "controlPoints": [
            {
                "id": "1",
                "label": f"{roi.name}-1",
                "description": "",
                "associatedNodeID": "",
                "position": list(roi.centre),
                "orientation": orientation,
                "selected": True,
                "locked": False,
                "visibility": True,
                "positionStatus": "defined",
            }
        ],
        "measurements": [],
    }


def _cut(roi: Roi, half: float) -> Roi:
    """The part of a ROI between z = -half and +half, to the micrometre."""
    x, y, z = roi.centre
    low, high = max(z - roi.size[2] / 2, -half), min(z + roi.size[2] / 2, half)
    centre = (round(x, 3), round(y, 3), round((low + high) / 2, 3))
    return Roi(roi.name, centre, (*roi.size[:2], round(high - low, 3)))
