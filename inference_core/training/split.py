"""Which patients train, which validate, which are not opened; no patient in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.training.ct_folders import Scan, patient_of


@dataclass(frozen=True)
class Split:
    """A patient-level split; patients as :func:`~inference_core.training.ct_folders.patient_of` names them."""

    train: list[str] = field(default_factory=list)
    """Empty: all patients that are not named below."""
    validation: list[str] = field(default_factory=list)
    """Scored while training, never trained on."""
    test: list[str] = field(default_factory=list)
    """Not opened."""


def divide(paths: Iterable[Path], split: Split) -> dict[str, list[Path]]:
    """The files of each set.

    Returns
    -------
    dict
        ``train``, ``validation`` and ``test``; files of patients that no set names are in none when ``train`` names
        some.

    Raises
    ------
    UserError
        ``patient-overlap``, ``no-such-patient`` or ``no-patient``.
    """
    paths = list(paths)
    named = {"train": split.train, "validation": split.validation, "test": split.test}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sorted(set(named[one]) & set(named[other]))
        if both:
            raise UserError(
                "patient-overlap",
                f"{', '.join(both)} would be in both {one} and {other}.",
                "A patient may be in one set only: take it out of one.",
            )
    patients = {patient_of(path) for path in paths}
    missing = sorted({name for names in named.values() for name in names} - patients)
    if missing:
        raise UserError(
            "no-such-patient",
            f"The split names {', '.join(missing)}, but the folders hold {', '.join(sorted(patients)[:8])}"
            f"{' ...' if len(patients) > 8 else ''}.",
            "A patient's name is that of its files or folder up to the first _.",
        )
    named["train"] = split.train or sorted(patients - set(split.validation) - set(split.test))
    if not named["train"]:
        raise UserError("no-patient", "The split leaves no patient to train on.", "Take one out of validation or test.")
    return {name: [path for path in paths if patient_of(path) in members] for name, members in named.items()}


def check_apart(train: Iterable[Scan], validation: Iterable[Scan]) -> None:
    """Refuse slices that are in both sets under different names.

    Raises
    ------
    UserError
        ``patient-overlap``.
    """
    known = {_identity(image): scan.name for scan in train for image in scan.slices}
    for scan in validation:
        for image in scan.slices:
            if _identity(image) in known:
                raise UserError(
                    "patient-overlap",
                    f"A slice of {scan.name} (validation) is the same as one of {known[_identity(image)]} (training).",
                    "The same scan lies there under two names: remove one.",
                )


def _identity(image: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
