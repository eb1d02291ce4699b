"""The strength of a finished result: what full strength changed is kept beside it, so that it can be blended anew.

The change is a volume node of its own, saved with the scene; the original is never touched.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import slicer
from slicer.i18n import tr as _

from inference_core.denoiser.blend import blend, difference

from .belonging import madeFrom
from .geometry import copyGeometry

CHANGE_REFERENCE = "FaithfulImaging.fullStrengthChange"
CHANGE_ATTRIBUTE = "FaithfulImaging.fullStrengthChange"
STRENGTH_ATTRIBUTE = "FaithfulImaging.strength"
INPUT_HASH_ATTRIBUTE = "FaithfulImaging.inputSha256"
SAME = 1e-6  # strengths that differ by less are one
MOVED = "CT numbers moved: "  # begins the worker's warning


def changeOf(before: np.ndarray, full: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """What was changed: (slices, rows, columns), two bytes a voxel for integers; in ``out`` where that holds it."""
    kind = np.dtype(np.float32 if before.dtype.kind == "f" else np.int16)
    if out is None or out.shape != before.shape or out.dtype != kind:
        out = np.empty(before.shape, kind)
    tooWide = []

    def work(index: int) -> None:
        change = difference(before[index], full[index])
        if change.dtype.itemsize > kind.itemsize:
            tooWide.append(index)
        else:
            out[index] = change

    _eachSlice(work, len(before))
    return difference(before, full) if tooWide else out  # no CT, but what the user gave


def blendInto(target: np.ndarray, before: np.ndarray, change: np.ndarray, strength: float) -> None:
    """Blend all slices into ``target``; some milliseconds a hundred slices."""
    _eachSlice(lambda index: blend(before[index], change[index], strength, target[index]), len(before))


def _eachSlice(work, count: int) -> None:
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        list(pool.map(work, range(count)))


def voxelHash(voxels: np.ndarray) -> str:
    """By which an input is known again."""
    return hashlib.sha256(np.ascontiguousarray(voxels).data).hexdigest()


def checkBlend(task, before, after, indexToLps, model: str, strength: float) -> dict:
    """What the blend did to noise and CT numbers, by the worker; called from a task's work."""
    job = {"job": "check", "model": model, "strength": strength}
    return task.job(job, {"input": before, "output": after}, indexToLps)


def withCheck(report: dict, checked: dict) -> dict:
    """A run's report with what was checked for another strength."""
    warnings = [warning for warning in report["warnings"] if not warning.startswith(MOVED)]
    moved = [row for row in checked["ct_number_check"]["tissues"] if not row["passed"]]
    if moved:
        shifts = ", ".join(f"{row['tissue']} {row['shift']:+.2f} HU" for row in moved)
        warnings.append(f"{MOVED}{shifts}. Do not measure on this result.")
    return {
        **report,
        "strength": checked["strength"],
        "noise_hu": {**report["noise_hu"], **checked["noise_hu"]},
        "ct_number_check": checked["ct_number_check"],
        "output": {**report["output"], **checked["output"]},
        "warnings": warnings,
    }


def keepChange(outputVolume, change: np.ndarray, inputHash: str) -> None:
    """Keep beside a result what full strength changed; an earlier one is replaced."""
    node = outputVolume.GetNodeReference(CHANGE_REFERENCE)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLScalarVolumeNode", _("{name} full-strength change").format(name=outputVolume.GetName())
        )
        node.SetHideFromEditors(True)  # it is no image to look at or to denoise
        node.SetAttribute(CHANGE_ATTRIBUTE, "1")
        outputVolume.SetNodeReferenceID(CHANGE_REFERENCE, node.GetID())
    copyGeometry(outputVolume, node)
    slicer.util.updateVolumeFromArray(node, change)
    node.SetAttribute(INPUT_HASH_ATTRIBUTE, inputHash)


def strengthOf(outputVolume) -> float | None:
    """By which the voxels of a result are blended."""
    try:
        return float(outputVolume.GetAttribute(STRENGTH_ATTRIBUTE))
    except (TypeError, ValueError, AttributeError):
        return None


def strengthChanged(outputVolume, report: dict) -> bool:
    """Whether a result was blended anew since its report was made."""
    strength = strengthOf(outputVolume)
    return strength is not None and abs(strength - report["strength"]) > SAME


def whyFixed(inputVolume, outputVolume) -> str:
    """Why the strength of a result cannot be changed; empty where it can, as far as can be seen at once."""
    if not madeFrom(outputVolume, inputVolume) or strengthOf(outputVolume) is None:
        return _("There is no result of this input yet.")
    change = outputVolume.GetNodeReference(CHANGE_REFERENCE)
    images = [node.GetImageData() if node else None for node in (inputVolume, outputVolume, change)]
    if images[2] is None or images[2].GetNumberOfPoints() == 0:
        return _("What full strength changed was not kept with this result. Press Apply to change the strength.")
    if any(image is None or image.GetDimensions() != images[2].GetDimensions() for image in images):
        return _("The volumes no longer have the same size. Press Apply to change the strength.")
    return ""


def setStrength(inputVolume, outputVolume, strength: float) -> None:
    """Blend a result anew, in place; its report tells of the strength before until it is checked again."""
    change = outputVolume.GetNodeReference(CHANGE_REFERENCE)
    before, target, changed = map(slicer.util.arrayFromVolume, (inputVolume, outputVolume, change))
    blendInto(target, before, changed, strength)
    outputVolume.SetAttribute(STRENGTH_ATTRIBUTE, repr(float(strength)))
    slicer.util.arrayFromVolumeModified(outputVolume)
