"""``inference-core evaluate folds``: fold labels of procedural colons against their exact truth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HELD_OUT = (101, 102, 103, 104)
FACES = (20_000, 60_000, 120_000)
METHODS = ("relief", "direction", "signed-direction", "curvature", "lumen-radius")


def folds(
    seeds: list[int] | None = None,
    faces: list[int] | None = None,
    methods: list[str] | None = None,
    out: Path | None = None,
) -> None:
    """Label the folds of procedural colons, and compare with their exact truth.

    IoU, precision and recall count area. A true fold is matched where a found one covers it with an IoU of 0.5; split
    are true folds with two found ones on them, merged are found ones on two true ones.

    Args:
        seeds: Of the colons; by default 101 to 104, which nothing was tuned on.
        faces: Numbers of triangles; by default 20000, 60000 and 120000.
        methods: relief, direction, signed-direction, curvature, lumen-radius; by default all.
        out: Start of the results' names: OUT.md, OUT.json.
    """
    from dataclasses import asdict

    from tqdm import tqdm

    from inference_core.evaluation.fold_labels import check_request, evaluate_folds, fold_table
    from inference_core.image.writing import check_folder, write_aside

    request = (seeds or HELD_OUT, faces or FACES, methods or METHODS)
    check_request(*request)
    files = [] if out is None else [out.with_name(out.name + suffix) for suffix in (".md", ".json")]
    for file in files:
        check_folder(file)
    total = len(request[0]) * len(request[1]) * len(request[2])
    with tqdm(total=total, unit="labelling", file=sys.stderr, disable=None, leave=False) as bar:
        rows = []
        for row in evaluate_folds(*request, each=bar.set_description):
            rows.append(row)
            bar.update()
    text = fold_table(rows) + "\n"
    print(text)
    texts = (text, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    for file, content in zip(files, texts, strict=False):
        write_aside(file, lambda path, content=content: path.write_text(content, encoding="utf-8"))  # type: ignore[misc]
        print(f"wrote {file}")
