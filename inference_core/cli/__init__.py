"""The command ``inference-core``: one subcommand a job."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from inference_core import __version__
from inference_core.errors import Cancelled, UserError, is_out_of_memory


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``inference-core``."""
    given = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that this terminal cannot show must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run(given)
    except UserError as error:
        print(f"error: {error.message}\n{error.remedy}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, e.g. head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror}\nCheck the path and your rights.", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, ImportError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print("error: There is not enough memory to begin.\nClose other programs.", file=sys.stderr)
        sys.exit(2)
    except (Cancelled, KeyboardInterrupt):
        goes_on = given[:1] in (["simulate-colon"], ["translate"], ["segment-folds"])
        kept = "what is finished stays, and the same command goes on" if goes_on else "nothing was written"
        print(f"Cancelled; {kept}.", file=sys.stderr)
        sys.exit(130)


def _check_words(given: list[str]) -> None:
    for word in given:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                "file-name", f"{word!r} is not in UTF-8, or your language settings are not.",
                "Rename it (convmv does); or set LC_ALL=C.UTF-8.",
            ) from error  # fmt: skip


def _run(given: list[str]) -> None:
    _check_words(given)
    from jsonargparse import auto_cli

    from inference_core.cli.arguments import spell_for_jsonargparse
    from inference_core.cli.batch import batch
    from inference_core.cli.bundle import bundle
    from inference_core.cli.colon_lumen import colon_lumen
    from inference_core.cli.colon_path import colon_path
    from inference_core.cli.demo import demo
    from inference_core.cli.denoise import denoise
    from inference_core.cli.evaluate import COMMANDS as EVALUATE
    from inference_core.cli.label_folds import label_folds
    from inference_core.cli.measure import measure
    from inference_core.cli.measure_coverage import measure_coverage
    from inference_core.cli.models import import_model, models
    from inference_core.cli.points import spell_points
    from inference_core.cli.reproduce import COMMANDS as REPRODUCE
    from inference_core.cli.sample import sample
    from inference_core.cli.segment_folds import segment_folds
    from inference_core.cli.simulate_colon import simulate_colon, spell_paths
    from inference_core.cli.simulate_dose import simulate_dose
    from inference_core.cli.train import train
    from inference_core.cli.translate import translate

    commands: dict[str, Any] = {
        "denoise": denoise,
        "batch": batch,
        "measure": measure,
        "sample": sample,
        "simulate-dose": simulate_dose,
        "simulate-colon": simulate_colon,
        "colon-lumen": colon_lumen,
        "colon-path": colon_path,
        "label-folds": label_folds,
        "measure-coverage": measure_coverage,
        "translate": translate,
        "segment-folds": segment_folds,
        "models": models,
        "demo": demo,
        "bundle": bundle,
        "evaluate": EVALUATE,
        "reproduce": REPRODUCE,
        "train": _train_help,
    }
    if given[:1] == ["train"]:  # its options depend on the recipe
        train(given[1:])
        return
    if given[:2] == ["models", "import"]:
        import_model(given[2:])
        return
    if given[:1] == ["simulate-colon"]:
        given = spell_paths(given)
    if given[:1] in (["colon-lumen"], ["colon-path"]):
        given = spell_points(given)
    auto_cli(
        commands,
        args=spell_for_jsonargparse(given),
        prog="inference-core",
        version=__version__,
        description="Faithful Imaging: "
        "denoise CT, keep its CT numbers, and measure that they are kept. Research use only.",
    )


def _train_help(task: str = "denoiser") -> None:
    """Train a network on your own data: inference-core train denoiser --config supervised_ct [key=value ...]."""
