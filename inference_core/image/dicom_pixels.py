"""Hounsfield units as a DICOM file can hold them: rescaled, rounded, within its bits, and no padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_core.image.dicom_files import quiet_pydicom, read_header
from inference_core.image.volume import Volume

STORAGE_TAGS = [
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
]


@quiet_pydicom()
def storable(volume: Volume, source: NDArray[Any]) -> tuple[Volume, int]:
    """The volume as it will be read back from its series, so that what is measured is what is written.

    Values are rounded to the source's rescale steps and clipped to its bit depth, as the scanner did. None becomes
    padding: a value that would fall on PixelPaddingValue, or into its range, goes to the nearest one outside.

    Parameters
    ----------
    volume : Volume
        With its ``files``.
    source : (slices, rows, columns) array
        The voxels in those files, HU.

    Returns
    -------
    Volume, and the number of voxels that were clipped or kept out of the padding.
    """
    voxels, moved = np.empty_like(volume.voxels), 0
    for k, file in enumerate(volume.files):
        header = read_header(file, STORAGE_TAGS)
        stored, count = stored_values(volume.voxels[k], source[k], header)
        voxels[k] = stored * float(header.RescaleSlope) + float(header.RescaleIntercept)
        moved += count
    return volume.with_voxels(voxels), moved


def stored_values(values: NDArray[Any], source: NDArray[Any], header: Any) -> tuple[NDArray[np.int64], int]:
    """Stored values of one slice, and how many of them could not be what they should."""
    low, high = _range(header)
    wanted, original = _unscaled(values, header), _unscaled(source, header)
    stored = np.where(wanted == original, wanted, np.clip(wanted, low, high))
    padding = _padding(header)
    if padding:
        first, last = padding
        wrong = (stored >= first) & (stored <= last) & ((original < first) | (original > last))
        below = (first - 1 >= low) & ((last + 1 > high) | (wanted - first < last - wanted))
        stored = np.where(wrong, np.where(below, first - 1, last + 1), stored)
    return stored, int((stored != wanted).sum())


def _unscaled(values: NDArray[Any], header: Any) -> NDArray[np.int64]:
    scaled = (values.astype(np.float64) - float(header.RescaleIntercept)) / float(header.RescaleSlope)
    return np.rint(scaled).astype(np.int64)


def _range(header: Any) -> tuple[int, int]:
    bits = int(header.get("BitsStored") or header.BitsAllocated)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if _signed(header) else (0, 2**bits - 1)


def _signed(header: Any) -> bool:
    return int(header.get("PixelRepresentation") or 0) == 1


def _padding(header: Any) -> tuple[int, int] | None:
    """First and last stored value that is padding."""
    if header.get("PixelPaddingValue") is None:
        return None
    ends = [int(header.PixelPaddingValue), int(header.get("PixelPaddingRangeLimit", header.PixelPaddingValue))]
    if _signed(header):  # written as unsigned by some scanners
        ends = [end - 65536 if end > 32767 else end for end in ends]
    return min(ends), max(ends)


def set_pixels(header: Any, stored: NDArray[np.int64]) -> None:
    """Put stored values, (rows, columns), into a header as uncompressed little endian pixels."""
    dtype = np.dtype(f"<{'i' if _signed(header) else 'u'}{int(header.BitsAllocated) // 8}")
    pixels = stored.astype(dtype).tobytes()
    header.PixelData = pixels + b"\0" * (len(pixels) % 2)
    header["PixelData"].VR = "OW"
