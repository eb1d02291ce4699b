"""A derived series without a network: what the writer makes of a changed volume."""

from pathlib import Path

from inference_core.image import dicom_writing
from inference_core.image.dicom_header import Derivation
from inference_core.image.dicom_pixels import storable
from inference_core.image.reading import read_volume
from inference_core.image.volume import Volume

PROVENANCE = {
    "software": {"name": "faithful-imaging", "version": "0.1.0"},
    "model": {"id": "a-model", "sha256": "0" * 64},
    "ct_numbers": {"passed": True},
}
DERIVATION = Derivation("a-model", 1.0, PROVENANCE)


def derived(source: Path, out: Path, change=lambda voxels: voxels) -> tuple[Volume, Volume, int]:
    """The source, and what is written of it after ``change``, without a network."""
    before = read_volume(source)
    after, moved = storable(before.with_voxels(change(before.voxels)), before.voxels)
    dicom_writing.write_series(after, before.voxels, out, DERIVATION)
    return before, after, moved
