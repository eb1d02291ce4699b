"""The files of one study: their identity, and one series of a folder set apart from what else lies there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_core.batch.studies import Study
from inference_core.errors import UserError
from inference_core.scratch import scratch_folder


def content_of(root: Path, study: Study) -> str:
    """Hash of what is in the files, whatever they are called and wherever they lie.

    Raises
    ------
    UserError
        ``not-readable`` or ``gone``.
    OSError
        Where the disk fails.
    """
    if not study.files:
        raise UserError("not-readable", f"The folder {root / study.path} may not be read.", "Ask for the right to it.")
    try:
        return _hash(study.series or "", *sorted(_sha256(root / study.folder / name) for name in study.files))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            "gone", f"{error.filename} is no longer there.", "If it was moved, start the same command again."
        ) from error
    except PermissionError as error:
        raise UserError("not-readable", f"{error.filename} may not be read.", "Ask for the right to it.") from error


@contextmanager
def set_apart(root: Path, study: Study) -> Iterator[Path]:
    """Where to read a study from: a volume file as it is, a series as a folder of links to its files alone."""
    place = root / study.path
    if study.series is None:
        yield place
        return
    with scratch_folder() as aside:
        for number, name in enumerate(study.files):
            link = aside / Path(name).name
            _link(place / name, link if not link.exists() else aside / f"{number}-{link.name}")
        yield aside


def _link(source: Path, link: Path) -> None:
    try:
        os.symlink(source, link)
    except OSError:  # Windows lets only some users make links
        shutil.copyfile(source, link)


def _sha256(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited for without an end
        path.stat()  # says so where it is gone
        raise UserError("not-readable", f"{path} is no file.", "Save it to a file first.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
