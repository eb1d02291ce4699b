"""``inference-core evaluate translator``: how faithful translations of simulated frames are, and how real they look."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inference_core.errors import UserError


def translator(
    simulated: Path | None = None,
    real: Path | None = None,
    model: list[str] | None = None,
    depth: str = "colon-depth",
    segmenter: str | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    frames: int = 60,
    out: Path | None = None,
) -> None:
    """Translate simulated frames by each model; compare depth, edges and folds with the truth, looks with real frames.

    The untranslated frames stand in the first row.

    Args:
        simulated: Dataset that simulate-colon wrote, or a folder of such datasets.
        real: Folder of pictures in the look to be given, or of datasets in it.
        model: Models for translate-frames: ids or cards.
        depth: Depth network that no model was trained with: a model for depth, a checkpoint of DispResNet, or a folder
            of a Depth Anything model.
        segmenter: Model for segment-folds that has never seen translated frames.
        split: Colons of this split; nothing should have been trained on them.
        frames: Of each colon, spread over it.
        out: Start of the results' names: OUT.md, OUT.csv, OUT.json, OUT.png.
    """
    from inference_core.evaluation.translator import evaluate_translators, open_judges, opened
    from inference_core.evaluation.translator_table import NOTES, check_out, tables, write_results

    if simulated is None or real is None:
        raise UserError("what-to-score", "There is nothing to compare.", "Give --simulated and --real, a folder each.")
    if frames < 1:
        raise UserError("frames", f"{frames} frames cannot be scored.", "Give 1 or more; 60 is usual.")
    if out is not None:
        check_out(out, [simulated, real])
    judges = open_judges(depth, segmenter)
    translators = opened(model or [])
    results = evaluate_translators(simulated, real, translators, judges, None if split == "all" else split, frames)
    text = f"{tables(results)}\nDepth network: {Path(depth).name}.\n\n{NOTES}\n"
    print(text)
    if out is not None:
        settings = {
            "simulated": str(simulated), "real": str(real), "models": model or [], "depth": depth,
            "segmenter": segmenter, "split": split, "frames_of_each_colon": frames,
        }  # fmt: skip
        for path in write_results(out, results, text, settings):
            print(f"wrote {path}")
