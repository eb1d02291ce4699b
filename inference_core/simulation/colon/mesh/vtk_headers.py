"""What .vtk and .vtp files say of their sizes, looked at before VTK does: some that cannot be end the process in it."""

from __future__ import annotations

import base64
import re
import struct
from pathlib import Path

MOST_PER_BYTE = 1000  # zlib makes no more of a byte
TYPES = (b"unsigned_char", b"unsigned_short", b"unsigned_int", b"unsigned_long")
HEADER_TYPES = {b"UInt32": "I", b"UInt64": "Q"}


LEGACY = re.compile(rb"# vtk DataFile Version [1-9]\.[0-9]\s")
LEGACY_PARTS = rb"POINTS|VERTICES|LINES|POLYGONS|TRIANGLE_STRIPS|POINT_DATA|CELL_DATA|FIELD \w+"
LEGACY_COUNTS = re.compile(rb"\n(?:" + LEGACY_PARTS + rb")([^\n]*)\n")


def check_legacy_vtk(path: Path) -> None:
    """Refuse a legacy .vtk file without a version, or that counts more than its size can hold.

    Raises
    ------
    ValueError
    """
    data = path.read_bytes()
    if not LEGACY.match(data):
        raise ValueError("it is no VTK file")
    for counts in LEGACY_COUNTS.findall(data):
        words = counts.split()
        numbers = [word for word in words if not word.isalpha() and word not in TYPES]
        if not numbers or any(not word.isdigit() or int(word) > len(data) for word in numbers):
            raise ValueError("it counts more than the file can hold")


def check_vtp_counts(path: Path) -> None:
    """Refuse a file that counts more than its size can hold, in its header or before a block of data.

    Raises
    ------
    ValueError
    """
    data = path.read_bytes()
    header, appended, blocks = data.partition(b"<AppendedData")
    most = MOST_PER_BYTE * len(data)
    for count in re.findall(rb'(?:NumberOf\w+|offset)="\s*([^"\s]*)', header):
        if not count.isdigit() or int(count) > most:
            raise ValueError("its header counts more than the file can hold")
    if appended:
        _check_blocks(header, blocks, most)


def _check_blocks(header: bytes, blocks: bytes, most: int) -> None:
    kind = re.search(rb'header_type="(\w+)"', header)
    letter = HEADER_TYPES.get(kind.group(1) if kind else b"UInt32")
    attributes, underscore, content = blocks.partition(b"_")
    if letter is None or not underscore:
        raise ValueError("its blocks of data are not where its header says")
    compressed, as_text = b"compressor=" in header, b"base64" in attributes
    for offset in re.findall(rb'offset="\s*([0-9]+)', header):
        numbers = _words_at(content, int(offset), 3 if compressed else 1, letter, as_text)
        wrong = max(numbers) > most
        if compressed and numbers[0] and not wrong:
            count, size, last = numbers
            wrong = size == 0 or last > size or count * size > most or count > len(content)
            sizes = () if wrong else _words_at(content, int(offset), 3 + count, letter, as_text)[3:]
            wrong = wrong or sum(sizes) > len(content)
        if wrong:
            raise ValueError("a block of its data counts more than the file can hold")


def _words_at(content: bytes, offset: int, count: int, letter: str, as_text: bool) -> tuple[int, ...]:
    """The numbers before a block; a compressed block of nothing has only the first, 0."""
    words = struct.Struct(f"<{count}{letter}")
    size = 4 * -(-words.size // 3) if as_text else words.size
    piece = content[offset : offset + size]
    if as_text:
        piece = base64.b64decode(piece + b"=" * (-len(piece) % 4))
    if len(piece) < words.size:
        if any(piece):
            raise ValueError("a block of its data is cut short")
        piece = piece.ljust(words.size, b"\0")
    return tuple(words.unpack(piece[: words.size]))
