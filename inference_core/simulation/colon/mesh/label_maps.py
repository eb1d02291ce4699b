"""The lumen of a colon in a label map or a 3D Slicer segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.data_files import check_data_files
from inference_core.image.meta_image import check_meta_image
from inference_core.image.reading import itk_name, nifti_is_whole, volume_suffix
from inference_core.image.volume import check_orthogonal
from inference_core.simulation.colon.mesh.surface import Surface
from inference_core.simulation.colon.mesh.surface_from_labels import surface_of_mask

if TYPE_CHECKING:
    import SimpleITK as sitk

SURFACE_FACES = 120_000
_MOST_LABELS = 1000


def surface_of_label_map(path: Path | str, label: int | None = None, faces: int | None = SURFACE_FACES) -> Surface:
    """Make the surface of a label: its largest piece, cavities filled, smoothed, decimated.

    Parameters
    ----------
    path : Path or str
        A volume file of whole numbers, 0 outside; or a segmentation (``.seg.nrrd``).
    label : int, optional
        Needed where there are several; for a segmentation its segments' label values.
    faces : int, optional
        Number of triangles to leave.

    Returns
    -------
    Surface
        mm, LPS.

    Raises
    ------
    UserError
        ``not-a-label-map``, ``no-such-label``, ``which-label``, ``empty-label``, ``sheared-geometry``.
    """
    path = Path(path)
    image = _read_image(path)
    check_orthogonal(image.GetDirection(), path.name)
    mask = _mask(_layers(image), label, path)
    return surface_of_mask(mask, image.GetSpacing(), image.GetOrigin(), image.GetDirection(), faces)


def _read_image(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    try:
        if ".nii" in (volume_suffix(path) or "") and not nifti_is_whole(path):
            raise OSError("it is cut short")
        check_data_files(path)
        check_meta_image(path)
        image = sitk.ReadImage(itk_name(path))
    except (RuntimeError, OSError, EOFError) as error:
        raise UserError(
            "unreadable-file",
            f"{path} cannot be read: it is damaged, cut short, or not what its name says.",
            "Save it again (in Slicer: as .nrrd).",
        ) from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise _not_a_label_map(path, f"has {image.GetDimension()} dimensions")
    if any(
        key.endswith(("MasterRepresentation", "SourceRepresentation"))
        and "fractional" in image.GetMetaData(key).lower()
        for key in image.GetMetaDataKeys()
    ):
        raise _not_a_label_map(path, "is a fractional segmentation")
    return image


def _layers(image: sitk.Image) -> NDArray[Any]:
    """(layers, slices, rows, columns): segments that overlap lie in layers of their own."""
    import SimpleITK as sitk

    array = sitk.GetArrayFromImage(image)
    return np.moveaxis(array, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else array[None]


def _mask(layers: NDArray[Any], label: int | None, path: Path) -> NDArray[np.bool_]:
    found: list[tuple[int, int]] = []  # layer, value
    for number, layer in enumerate(layers):
        values = _labels_in(layer)
        if values is None:
            raise _not_a_label_map(path, "does not hold labels (whole numbers from 0)")
        found += [(number, value) for value in values if value != 0]
    if not found:
        raise UserError("empty-label", f"{path.name} holds nothing but zeros.", "Save the segmentation again.")
    names = ", ".join(str(value) for _, value in found)
    fitting = [one for one in found if label is None or one[1] == label]
    if not fitting:
        raise UserError("no-such-label", f"{path.name} has no label {label}; it has {names}.", "Give one of these.")
    if len(fitting) > 1:
        raise UserError(
            "which-label",
            f"{path.name} holds several labels or segments ({names}).",
            "Say which is the lumen of the colon (--label N), or save that segment alone."
            if label is None
            else "Save the segment that is the lumen of the colon alone.",
        )
    ((layer_number, value),) = fitting
    return np.asarray(layers[layer_number] == value)


def _labels_in(layer: NDArray[Any]) -> list[int] | None:
    """The values of a layer; None where they cannot be labels."""
    low, high = float(layer.min()), float(layer.max())
    if not (low >= 0 and high < 65536):  # also where one is no number
        return None
    seen = np.zeros(65536, bool)
    seen[layer.astype(np.uint16).ravel()] = True  # far quicker than sorting a CT's worth of voxels
    values = [int(value) for value in np.flatnonzero(seen)]
    whole = layer.dtype.kind in "iu" or bool((layer == np.rint(layer)).all())
    return values if whole and len(values) <= _MOST_LABELS else None


def _not_a_label_map(path: Path, reason: str) -> UserError:
    return UserError(
        "not-a-label-map",
        f"{path.name} {reason}, so no surface can be made of it.",
        "Give a label map (0 outside, 1 in the lumen), a Slicer segmentation (.seg.nrrd), or a surface file.",
    )
