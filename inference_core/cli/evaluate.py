"""``inference-core evaluate``: models and classical filters side by side, in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from inference_core.cli.evaluate_depth import depth
from inference_core.cli.evaluate_folds import folds
from inference_core.cli.evaluate_segmenter import segmenter
from inference_core.cli.evaluate_translator import translator
from inference_core.errors import UserError

REFERENCE_NOTE = """\
PSNR and SSIM against the reference: whole HU, nothing clipped, data range 2000 HU, SSIM 7x7 uniform; slice-max, as the
papers' code: on HU + 1000, data range max(reference) + 1000. Edges: mean gradient (Gaussian of 1 pixel) over the
reference's, at its 3 % strongest edges in the body; noise raises it. Shifts: output - low dose; tissue found on the
reference."""
NO_REFERENCE_NOTE = """\
No reference: shifts are output - low dose, tissue found on each output."""
NOISE_NOTE = """\
std soft: in all soft tissue, anatomy included; noise: in its flattest 16x16 blocks. Intervals: bootstrap, seeded."""
CONTRAST_NOTE = """\
Contrast: air is clipped at -1024 HU as on scanners, so noise lifts it; what lies in air keeps less than 1 even in the
low-dose CT. Compare with that line."""


def denoiser(
    low: Path | None = None,
    full: Path | None = None,
    phantom: list[int] | None = None,
    dose: Literal["quarter", "temporal"] = "temporal",
    model: list[str] | None = None,
    filters: bool = False,
    bm3d: bool = False,
    tune_on: str = "",
    only: str = "",
    out: Path | None = None,
) -> None:
    """Score denoisers on low-dose CT: against full dose, against a phantom's truth, or without any reference.

    A pair is two files, or one file name in two folders; a file holds one slice or many, and every slice is scored.
    Files of one slice are tabulated by scan: their names up to the last _. Without --full, noise and CT-number shifts
    are measured on the low-dose CT alone.

    Args:
        low: Low-dose CT: a file, or a folder of files.
        full: Full-dose CT (or truth): a file, or a folder of files of the same names.
        phantom: Instead of files, seeds of the temporal-bone phantom; 20 s each to make.
        dose: Of the phantom; temporal has about 250 HU of noise in the brain, quarter about 60 HU.
        model: Models: ids, cards (.json), or bare weights (.safetensors) that run with the card of low-dose-ct.
        filters: Score classical filters too: Gaussian, median, diffusion, bilateral, non-local means, TV.
        bm3d: Score BM3D too (pip install 'faithful-imaging[bench]'; non-commercial use only); 11 s a slice.
        tune_on: Name (without suffix) of the pair whose middle slice filters are tuned on; by default the first. That
            slice is not scored. On the phantom they are tuned on another head.
        only: Score the files whose name starts with this.
        out: Start of the results' names: OUT.md, OUT.csv, OUT.json, OUT_noise_power.csv, OUT_pictures/.
    """
    from inference_core.evaluation.networks import network_denoisers
    from inference_core.evaluation.peers import BM3D_NOTE, check_peers, tuned_peers
    from inference_core.evaluation.report import check_out, write_results
    from inference_core.evaluation.run import evaluate
    from inference_core.evaluation.sources import from_files, from_phantoms
    from inference_core.evaluation.table import tables
    from inference_core.extras import need

    referenced = full is not None or phantom is not None
    _check(low, full, phantom, filters or bm3d)
    if referenced:
        need("skimage", "train", "SSIM")
    check_peers(filters, bm3d)
    if out is not None:
        check_out(out, [path for path in (low, full, *_files_of(model or [])) if path is not None])
    denoisers, methods = network_denoisers(model or [])
    source = from_phantoms(phantom or [], dose) if low is None else from_files(low, full, only)
    notes, not_scored = [], set()
    if filters or bm3d:
        slice_ = source.tuning(tune_on)
        tuned, records = tuned_peers(slice_.low, slice_.reference, filters, bm3d)
        denoisers, methods = denoisers | tuned, methods | records
        notes.append(f"Filters tuned for PSNR on {slice_.said}, which is not scored.")
        not_scored.add((slice_.pair, slice_.slice))
    results = evaluate(source.pairs(), denoisers, not_scored, source.preferred, source.count)
    if not results.rows:
        raise UserError(
            "nothing-left", "The only slice is the one that filters are tuned on.", "Give another --tune-on."
        )
    notes += [REFERENCE_NOTE if referenced else NO_REFERENCE_NOTE, NOISE_NOTE]
    notes += [CONTRAST_NOTE] * bool(results.contrast) + [BM3D_NOTE] * bm3d
    text = f"{tables(results)}\n" + "\n\n".join(notes) + "\n"
    print(text)
    if out is not None:
        settings = {
            "low": low and str(low), "full": full and str(full), "phantom": phantom, "dose": dose if phantom else None,
            "only": only, "methods": methods, "notes": notes,
        }  # fmt: skip
        for path in write_results(out, results, text, settings):
            print(f"wrote {path}")


def _check(low: Path | None, full: Path | None, phantom: list[int] | None, peers: bool) -> None:
    """Refuse options that do not go together."""
    if (low is None) == (phantom is None):
        raise UserError(
            "what-to-score",
            "Both files and a phantom are given." if low else "Neither files nor a phantom are given.",
            "Give --low (and --full), or --phantom with one seed or more.",
        )
    if full is not None and low is None:
        raise UserError("what-to-score", "--full is given without --low.", "Give both, or --phantom alone.")
    if phantom is not None and (not phantom or min(phantom) < 0):
        raise UserError("seed", f"The phantom's seeds are {phantom}.", "Choose numbers of 0 or more.")
    if peers and full is None and phantom is None:
        raise UserError(
            "no-reference", "Filters are tuned against a reference, and there is none.",
            "Give --full or --phantom, or leave --filters and --bm3d out.",
        )  # fmt: skip


def _files_of(models: list[str]) -> list[Path]:
    """What reading these models may open."""
    return [Path(model).with_suffix(suffix) for model in models if Path(model).name
            for suffix in (".json", ".safetensors", ".onnx")]  # fmt: skip


COMMANDS: dict[str, Any] = {"_help": "Score models and methods side by side.", "denoiser": denoiser, "depth": depth,
                            "folds": folds, "segmenter": segmenter, "translator": translator}  # fmt: skip
