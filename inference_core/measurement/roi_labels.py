"""ROIs from images: label maps, and Slicer segmentations (.seg.nrrd)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.data_files import check_data_files
from inference_core.image.meta_image import check_meta_image
from inference_core.image.reading import itk_name
from inference_core.image.volume import Volume
from inference_core.measurement.roi import Box, LabelMask

if TYPE_CHECKING:
    import SimpleITK as sitk

_MOST_LABELS = 1000

FARTHEST = 1e5  # mm; beyond it nothing of a patient lies, and ITK may work for hours


def read_labels(path: Path, stem: str, volume: Volume, transform: NDArray[np.float64]) -> list[LabelMask]:
    """Read every label of a label map, or every segment of a segmentation, as a ROI.

    The file may lie on any grid, cropped or turned; it is resampled to the volume's (nearest neighbour).

    Parameters
    ----------
    path : Path
        An image file. With ``Segment<i>_...`` fields it is taken for a Slicer segmentation.
    stem : str
        Labels have no names in a label map: they are called ``<stem> <value>``.
    volume : Volume
    transform : (4, 4) array
        Rigid; from the file's points to the patient, LPS.

    Returns
    -------
    list of LabelMask

    Raises
    ------
    UserError
        ``unreadable-roi``, ``not-a-label-map``.
    """
    image = _read_image(path)
    segments = _segments(image, path)
    if segments:
        return _read_segments(image, segments, path, volume, transform)
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise _not_a_label_map(path, "holds several values a voxel")
    bounds = _bounds_of_labels(image, path, transform)
    if not bounds:
        raise _not_a_label_map(path, "holds nothing but zeros")
    labels = _on_grid_of(image, volume, transform)
    return [LabelMask(f"{stem} {value}", labels, value, box) for value, box in bounds.items()]


def _not_a_label_map(path: Path, reason: str) -> UserError:
    return UserError(
        "not-a-label-map", f"{path.name} {reason}, so it is no label map.",
        "Give an image of whole numbers, 0 outside and 1, 2, ... in the ROIs, or a Slicer segmentation (.seg.nrrd).",
    )  # fmt: skip


def _read_image(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    try:
        check_data_files(path)
        check_meta_image(path)
        image = sitk.ReadImage(itk_name(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(
            "unreadable-roi", f"{path} cannot be read: {reason}", "It may be damaged or cut short; save it again."
        ) from error
    numbers = (*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())
    if not all(abs(number) < FARTHEST for number in numbers):  # false for what is no number, too
        raise UserError(
            "unreadable-roi", f"{path} lies where no patient does.", "Its header is damaged; save it again."
        )
    if "integer" not in image.GetPixelIDTypeAsString():
        raise _not_a_label_map(path, f"holds {image.GetPixelIDTypeAsString()} voxels")
    if image.GetDimension() == 2:
        return sitk.JoinSeries(image)
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        return image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise _not_a_label_map(path, f"has {image.GetDimension()} dimensions")
    return image


def _segments(image: sitk.Image, path: Path) -> dict[int, dict[str, str]]:
    """The ``Segment<i>_<field>`` entries of a Slicer segmentation, by i; empty for a plain label map."""
    segments: dict[int, dict[str, str]] = {}
    for key in image.GetMetaDataKeys():
        if match := re.fullmatch(r"Segment(\d+)_(ID|Name|LabelValue|Layer)", key):
            segments.setdefault(int(match[1]), {})[match[2]] = image.GetMetaData(key)
        if key.endswith("MasterRepresentation") and "fractional" in image.GetMetaData(key).lower():
            raise _not_a_label_map(path, "is a fractional segmentation")
    if not segments and path.name.lower().endswith(".seg.nrrd"):
        raise UserError("unreadable-roi", f"{path.name} holds no segments.", "Save the segmentation again in Slicer.")
    return dict(sorted(segments.items()))


def _read_segments(
    image: sitk.Image,
    segments: dict[int, dict[str, str]],
    path: Path,
    volume: Volume,
    transform: NDArray[np.float64],
) -> list[LabelMask]:
    """One ROI a segment. Segments that overlap lie in different layers, stored as components of the voxels."""
    layers: dict[int, tuple[NDArray[Any], dict[int, Box]]] = {}
    rois = []
    for index, fields in segments.items():
        name = " ".join(fields.get("Name", fields.get("ID", f"Segment {index}")).split())
        try:
            # Slicer 4.10 and older wrote neither field: each segment had a layer of its own.
            layer, value = int(fields.get("Layer", index)), int(fields.get("LabelValue", 1))
        except ValueError as error:
            raise _damaged(path, f"has a layer or label value that is no number in segment {name!r}") from error
        if not 0 <= layer < image.GetNumberOfComponentsPerPixel():
            raise _damaged(path, f"has no layer {layer} for segment {name!r}")
        if layer not in layers:
            one = _layer(image, layer)
            layers[layer] = _on_grid_of(one, volume, transform), _bounds_of_labels(one, path, transform)
        labels, bounds = layers[layer]
        rois.append(LabelMask(name, labels, value, bounds.get(value)))
    return rois


def _damaged(path: Path, what: str) -> UserError:
    return UserError("unreadable-roi", f"{path.name} {what}.", "Save the segmentation again in Slicer.")


def _layer(image: sitk.Image, layer: int) -> sitk.Image:
    import SimpleITK as sitk

    return sitk.VectorIndexSelectionCast(image, layer) if image.GetNumberOfComponentsPerPixel() > 1 else image


def _bounds_of_labels(image: sitk.Image, path: Path, transform: NDArray[np.float64]) -> dict[int, Box]:
    """The box around each label that the image holds, after the transform."""
    import SimpleITK as sitk

    extremes = sitk.MinimumMaximumImageFilter()
    extremes.Execute(image)
    if extremes.GetMinimum() < 0:
        raise _not_a_label_map(path, f"holds negative values (down to {int(extremes.GetMinimum())})")
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(image)
    if len(shapes.GetLabels()) > _MOST_LABELS:
        raise _not_a_label_map(path, f"holds {len(shapes.GetLabels())} different values")
    axes = transform[:3, :3] @ np.reshape(image.GetDirection(), (3, 3))
    bounds = {}
    for value in shapes.GetLabels():
        box = np.reshape(shapes.GetBoundingBox(value), (2, 3))
        middle = image.TransformContinuousIndexToPhysicalPoint((box[0] + (box[1] - 1) / 2).tolist())
        center = transform[:3, :3] @ middle + transform[:3, 3]
        bounds[int(value)] = Box(f"label {value}", center, box[1] * np.array(image.GetSpacing()), axes)
    return bounds


def _on_grid_of(image: sitk.Image, volume: Volume, transform: NDArray[np.float64]) -> NDArray[Any]:
    """The label map at the voxel centres of the volume, 0 outside the file."""
    import SimpleITK as sitk

    to_file = np.linalg.inv(transform)
    array = sitk.GetArrayFromImage(
        sitk.Resample(
            image,
            volume.voxels.shape[::-1],
            sitk.AffineTransform(to_file[:3, :3].ravel().tolist(), to_file[:3, 3].tolist()),
            sitk.sitkNearestNeighbor,
            volume.origin,
            volume.spacing,
            volume.direction,
            0,
            image.GetPixelID(),
        )
    )
    return np.asarray(array)
