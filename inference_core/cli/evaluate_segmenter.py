"""``inference-core evaluate segmenter``: how well folds are found, by training and by evaluation set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inference_core.errors import UserError


def segmenter(
    model: list[str] | None = None,
    data: list[str] | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    out: Path | None = None,
) -> None:
    """Segment labelled frames by each model; compare masks and single folds with the truth.

    Rows are models, columns evaluation sets; differences are of the first row to the others, on the same frames.

    Args:
        model: Models for segment-folds: ids, cards, or folders of runs. NAME=RUN1,RUN2,RUN3 are trainings of one kind,
            in one row.
        data: Evaluation sets, as NAME=FOLDER or FOLDER: what simulate-colon or translate wrote, or a folder with
            images/NAME.jpg and masks/NAME.png that people have labelled.
        split: Colons of this split; nothing should have been trained on them. Manual labels have none: all are taken.
        out: Start of the results' names: OUT.md, OUT.csv, OUT.json, OUT.png.
    """
    from inference_core.evaluation.labelled_frames import check_sets, open_frames
    from inference_core.evaluation.segmenter import evaluate_segmenters, open_segmenters
    from inference_core.evaluation.segmenter_table import NOTES, tables, write_results
    from inference_core.evaluation.translator_table import check_out

    if not model or not data:
        what = "model" if data else "labelled frame"
        raise UserError("what-to-score", f"There is no {what} to score.", "Give --model and --data.")
    folders = named_folders(data)
    if out is not None:
        check_out(out, folders.values())
    segmenters = open_segmenters(model)
    sets = [(name, open_frames(folder, None if split == "all" else split)) for name, folder in folders.items()]
    check_sets(sets)
    results = evaluate_segmenters(segmenters, sets)
    text = f"{tables(results)}\n{NOTES}\n"
    print(text)
    if out is not None:
        settings = {
            "models": [{"row": one.method, "model": one.training, "id": one.card.id, "sha256": one.card.sha256,
                        "calibration": one.card.text.get("calibration")} for one in segmenters],
            "data": {name: str(folder) for name, folder in folders.items()}, "split": split,
        }  # fmt: skip
        for path in write_results(out, results, text, settings):
            print(f"wrote {path}")


def named_folders(data: list[str]) -> dict[str, Path]:
    """Evaluation sets by name: ``NAME=FOLDER``, or the folder's own name.

    Raises
    ------
    UserError
        ``same-set`` where two have one name.
    """
    folders: dict[str, Path] = {}
    for given in data:
        name, equals, rest = given.partition("=")
        if not equals or not name or Path(given).exists():
            name, rest = Path(given).resolve().name, given
        if name in folders:
            raise UserError("same-set", f"Two evaluation sets are named {name!r}.", "Give them as NAME=FOLDER.")
        folders[name] = Path(rest)
    return folders
