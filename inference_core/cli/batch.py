"""``inference-core batch``: a folder of studies, denoised one by one on as many cores or machines as there are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def batch(
    studies: Path, out: Path, recipe: Path | None = None, scheduler: str | None = None, workers: int | None = None
) -> None:
    """Denoise every study of a folder; the same command goes on with a batch that was stopped.

    A study is a volume file or a DICOM series. A bad one is refused with the reason, and the others go on. Beside the
    results go their reports, summary.csv and summary.html. The exit status is 1 where a study was not done.

    Args:
        studies: Folder of the studies, with folders in it or without.
        out: Folder for the results.
        recipe: YAML with model, strength, engine, device, threads, format (.nrrd, .nii.gz, .mha or dicom).
        scheduler: Address of a Dask scheduler (tcp://host:8786) that runs it; by default this machine does.
        workers: Studies worked on at a time on this machine; by default one a core.
    """
    from tqdm import tqdm

    from inference_core.batch.recipe import read_recipe
    from inference_core.batch.run import run_batch
    from inference_core.batch.summary import reasons, totals

    found = 0
    with tqdm(total=None, unit="study", file=sys.stderr, disable=None) as bar:

        def tell(done: int, total: int, entry: dict[str, Any] | None) -> None:
            nonlocal found
            if entry is None:
                found = total
                bar.total = total
                bar.update(done)
                if done:
                    tqdm.write(f"{done} of {total} were done before.", file=sys.stderr)
            else:
                bar.update(1)

        said = read_recipe(Path(os.path.abspath(recipe)) if recipe else None)
        entries = run_batch(studies.resolve(), out.resolve(), said, scheduler, workers, tell)
    not_done = reasons(entries)
    if not_done:
        print(not_done)
    print(f"{totals(entries, found)}; {out / 'summary.html'}")
    if not_done:
        raise SystemExit(1)
