"""Read ROIs from files: Slicer markups, plain JSON shapes, label maps and segmentations.

Plain JSON, all numbers in mm::

    {"coordinateSystem": "LPS",
     "rois": [
       {"name": "brain", "shape": "sphere", "center": [x, y, z], "radius": 5},
       {"name": "muscle", "shape": "circle", "center": [x, y, z], "radius": 4},
       {"name": "liver", "shape": "box", "center": [x, y, z], "size": [x, y, z],
        "orientation": [9 numbers, row by row; the columns are the box's axes]}]}

``coordinateSystem`` is LPS (the default) or RAS, ``orientation`` may be left away. A circle is the disc in the slice
nearest to its centre.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.reading import volume_suffix
from inference_core.image.volume import Volume
from inference_core.measurement.roi import Box, Circle, Roi, Sphere
from inference_core.measurement.roi_labels import read_labels
from inference_core.measurement.roi_transform import read_transform

__all__ = ["read_rois", "read_transform"]

_KINDS = (
    "Give Slicer ROI markups (.mrk.json), a Slicer segmentation (.seg.nrrd), a label map (.nrrd, .nii.gz, .mha)"
    " or a .json file with spheres, circles and boxes."
)


def read_rois(path: Path, volume: Volume, transform: NDArray[np.float64] | None = None) -> list[Roi]:
    """Read every ROI of a file.

    Parameters
    ----------
    path : Path
        ``.mrk.json`` or ``.json`` (Slicer markups of type ROI, or plain shapes, see above), ``.seg.nrrd``, or a
        label map in an image file.
    volume : Volume
        Label maps and segmentations are resampled to its grid.
    transform : (4, 4) array, optional
        Rigid, mm, LPS: from the ROI's points to the patient, as :func:`~.roi_transform.read_transform` gives it.

    Returns
    -------
    list of Box, Sphere, Circle or LabelMask
        At least one, in the order of the file.

    Raises
    ------
    UserError
        With the remedy, for whatever cannot be read as ROIs.
    """
    path = Path(path)
    matrix = np.eye(4) if transform is None else transform
    if not path.exists():
        raise UserError("no-such-file", f"The ROI file {path} does not exist.", "Check the path.")
    if path.is_file() and path.name.lower().endswith(".json"):
        return _read_json(path, matrix)
    if path.is_file() and volume_suffix(path) is not None:
        return list(read_labels(path, _stem(path), volume, matrix))
    raise UserError("unsupported-roi", f"{path} is not a kind of ROI file that can be read.", _KINDS)


def _stem(path: Path) -> str:
    """The file's name without its ending; Slicer, too, names the markups of a file by it."""
    endings = (".mrk.json", ".json", ".seg.nrrd", volume_suffix(path) or "")
    ending = next(ending for ending in endings if path.name.lower().endswith(ending))
    return path.name[: len(path.name) - len(ending)]


def _read_json(path: Path, transform: NDArray[np.float64]) -> list[Roi]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError("unreadable-roi", f"{path} cannot be read: {error.strerror}.", "Check its rights.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            "unreadable-roi", f"{path} is not valid JSON: {error}.", "It may be empty or cut short; save it again."
        ) from error
    key = next((key for key in ("markups", "rois") if isinstance(content, dict) and key in content), None)
    if key is None:
        raise UserError("unsupported-roi", f"{path.name} holds neither 'markups' nor 'rois'.", _KINDS)
    items = content[key]
    if not isinstance(items, list) or not items:
        raise UserError("unreadable-roi", f"{path.name} holds no ROI: its {key!r} is not a list with entries.", _KINDS)
    rois = []
    for number, item in enumerate(items, start=1):
        where = f"{path.name}, ROI {number}"
        if not isinstance(item, dict):
            raise _wrong(where, "is not a JSON object")
        default_name = _stem(path) if len(items) == 1 else f"{_stem(path)} {number}"
        name = item.get("name") or default_name
        if not isinstance(name, str):
            raise _wrong(where, f"has a name that is no text: {name!r}")
        name = " ".join(name.split())
        if key == "markups":
            rois.append(_markup(item, name, where, transform))
        else:
            flip = _flip(content.get("coordinateSystem", "LPS"), where)
            rois.append(_shape(item, name, where, transform @ flip))
    return rois


def _markup(item: dict[str, Any], name: str, where: str, transform: NDArray[np.float64]) -> Roi:
    """One entry of a Slicer markups file."""
    if item.get("type") != "ROI":
        raise UserError(
            "unsupported-roi", f"{where} ({name}) is a markup of type {item.get('type')!r}, not a ROI.",
            "Draw a ROI box in Slicer's Markups module, or give a sphere or circle as plain JSON.",
        )  # fmt: skip
    if item.get("roiType", "Box") not in ("Box", "BoundingBox"):
        raise UserError("unsupported-roi", f"{where} ({name}) is a ROI of type {item['roiType']!r}.", "Use a Box ROI.")
    if item.get("insideOut"):
        raise UserError("unsupported-roi", f"{where} ({name}) is inside out: it means all that lies outside the box.",
                        "Untick 'Inside out' in Slicer's Markups module and save it again.")  # fmt: skip
    units = item.get("coordinateUnits", "mm")
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise _wrong(where, f"is measured in {units!r}, not in mm")
    # Slicer 5.13 writes RAS files right, but reads the orientation in them as if it were LPS. The file's word counts.
    return _box(item, name, where, transform @ _flip(item.get("coordinateSystem", "LPS"), where))


def _shape(item: dict[str, Any], name: str, where: str, to_patient: NDArray[np.float64]) -> Roi:
    """One entry of the plain JSON."""
    kind = item.get("shape")
    if kind == "box":
        return _box(item, name, where, to_patient)
    if kind not in ("sphere", "circle"):
        raise _wrong(where, f"has the shape {kind!r}; it can be 'sphere', 'circle' or 'box'")
    center = to_patient @ [*_numbers(item, "center", 3, where), 1.0]
    (radius,) = _numbers({"radius": [item["radius"]]} if "radius" in item else {}, "radius", 1, where)
    if radius < 0:
        raise _wrong(where, f"has the negative radius {radius:g}")
    return (Sphere if kind == "sphere" else Circle)(name, center[:3], radius)


def _box(item: dict[str, Any], name: str, where: str, to_patient: NDArray[np.float64]) -> Box:
    """A box from its center, size and orientation (9 numbers, row by row; the columns are its axes)."""
    center = to_patient @ [*_numbers(item, "center", 3, where), 1.0]
    size = np.array(_numbers(item, "size", 3, where))
    if np.any(size < 0):
        raise _wrong(where, f"has a negative size {size.tolist()}")
    axes = np.reshape(_numbers(item, "orientation", 9, where), (3, 3)) if "orientation" in item else np.eye(3)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise _wrong(where, "has an orientation whose columns are not unit vectors at right angles")
    return Box(name, center[:3], size, to_patient[:3, :3] @ axes)


def _flip(system: Any, where: str) -> NDArray[np.float64]:
    """The matrix from a coordinate system to LPS. Old Slicer files have the number of the system: 0 RAS, 1 LPS."""
    kind = {"LPS": "LPS", "1": "LPS", "RAS": "RAS", "0": "RAS"}.get(str(system).upper())
    if kind is None:
        raise _wrong(where, f"has the coordinate system {system!r}; it can be LPS or RAS")
    return np.diag([1.0, 1.0, 1.0, 1.0] if kind == "LPS" else [-1.0, -1.0, 1.0, 1.0])


def _numbers(item: dict[str, Any], key: str, count: int, where: str) -> list[float]:
    """``count`` finite numbers under a key."""
    if key not in item:
        raise _wrong(where, f"has no {key!r}")
    values = item[key]
    if not isinstance(values, list) or len(values) != count:
        raise _wrong(where, f"needs {count} numbers as {key!r}, not {values!r}")
    numbers = [float(value) if type(value) in (int, float) and abs(value) < 1e12 else math.nan for value in values]
    if not all(map(math.isfinite, numbers)):
        raise _wrong(where, f"has a {key!r} that is not made of finite numbers: {values!r}")
    return numbers


def _wrong(where: str, what: str) -> UserError:
    return UserError("roi-value", f"{where} {what}.", "Correct the file, or draw the ROI again and save it.")
