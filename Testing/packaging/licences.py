"""The licence that a package's metadata states, in SPDX's terms where it can be told, and what it asks of a user."""

from __future__ import annotations

import re
from typing import Any

STATED = {
    "apache 2.0": "Apache-2.0", "apache 2.0 license": "Apache-2.0", "apache": "Apache-2.0", "mit license": "MIT",
    "3-clause bsd license": "BSD-3-Clause", "isc license": "ISC", "bsd": "BSD",
}  # fmt: skip
CLASSIFIERS = {
    "MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0", "Free for non-commercial use": "Free for non-commercial use",
}  # fmt: skip
BY_HAND = {
    "embreex": "BSD-2-Clause",  # the text stands in its metadata; Embree itself is Apache-2.0
}
NOTES = {
    "av": "its wheels bring FFmpeg with libx264 (GPL-2.0-or-later)",
    "bm3d": "for comparison alone",
    "bm4d": "comes with bm3d",
}
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?: (?:AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*")
WORDS = ("BSD", "Free for non-commercial use")
"""What stands for a licence where no SPDX name can be told: of BSD it is not stated how many clauses."""


def licence_of(metadata: dict[str, Any]) -> str:
    """SPDX expression or one of :data:`WORDS`, from metadata as pip reports it.

    Raises
    ------
    ValueError
        Where nothing is stated that is known here.
    """
    if metadata.get("license_expression"):
        return str(metadata["license_expression"])
    if metadata["name"] in BY_HAND:
        return BY_HAND[metadata["name"]]
    text = (metadata.get("license") or "").strip()
    if text.lower() in STATED and STATED[text.lower()] not in WORDS:
        return STATED[text.lower()]
    classifiers = [line.split(" :: ")[-1] for line in metadata.get("classifier", []) if line.startswith("License")]
    known = {CLASSIFIERS[name] for name in classifiers if name in CLASSIFIERS}
    if re.fullmatch(r"(?=.*\d|MIT|ISC)" + SPDX.pattern, text):
        return text
    if len(known) == 1:
        return known.pop()
    if text.lower() in STATED:
        return STATED[text.lower()]
    raise ValueError(f"{metadata['name']} states no licence that is known: {text[:60]!r}, {classifiers}")


def asks(licence: str) -> str:
    """``strong`` or ``weak`` copyleft, ``not free software``, or nothing."""
    if "non-commercial" in licence:
        return "not free software"
    if re.search(r"\bA?GPL", licence):
        return "strong copyleft"
    if re.search(r"\b(LGPL|MPL|EPL|CDDL|EUPL)", licence):
        return "weak copyleft"
    return ""
