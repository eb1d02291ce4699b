"""Headers of MetaImage files (.mha, .mhd), looked at before ITK is: some damaged ones end the process in it."""

from __future__ import annotations

from pathlib import Path

HEADER_BYTES = 1 << 14
PLACES = ("TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin", "ElementSpacing", "ElementSize")
FARTHEST = 1e6  # mm; also more than any direction's part
MOST_DIMENSIONS = 5


def check_meta_image(path: Path) -> None:
    """Refuse a header with dimensions or places that no image has; files of other kinds pass.

    Raises
    ------
    RuntimeError
        As ITK raises for what it cannot read.
    """
    if path.suffix.lower() not in (".mha", ".mhd"):
        return
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES).decode("latin-1")
    for line in header.splitlines():
        name, is_field, value = line.partition("=")
        name = name.strip()
        if not is_field or name == "ElementDataFile":
            break
        value = value.strip()
        if name == "NDims" and not (value.isascii() and value.isdigit() and 0 < int(value[:9]) <= MOST_DIMENSIONS):
            raise RuntimeError("NDims is no number of dimensions")
        if name in PLACES and not _are_places(value):
            raise RuntimeError(f"{name} lies where no patient does")


def _are_places(value: str) -> bool:
    try:
        return all(abs(float(number)) < FARTHEST for number in value.split())  # false for nan, too
    except ValueError:
        return False
