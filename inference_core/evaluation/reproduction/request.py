"""What is asked for, and whether it can be done: all that can be found out before any work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference_core.errors import UserError
from inference_core.evaluation.networks import network_denoiser
from inference_core.evaluation.pairs import find_pairs
from inference_core.evaluation.peers import check_peers
from inference_core.evaluation.reproduction.methods import METHODS, Method, chosen_methods
from inference_core.evaluation.reproduction.temporal_data import made_before, read_head
from inference_core.extras import need
from inference_core.training.ct_folders import patient_of, scan_paths

SHOWN = 8  # names in a message


@dataclass(frozen=True)
class Request:
    """What is asked for; see :func:`inference_core.cli.reproduce.ct`."""

    out: Path
    low: Path | None
    full: Path | None
    train: list[str]
    test: str
    head: Path | None
    minutes: float
    tables: tuple[Literal[1, 2], ...]
    methods: list[str] | None
    warm_start: str | None
    default: str | None
    bm3d: bool

    @property
    def data(self) -> Path:
        """Folder of the data of table 2."""
        return self.out / "data"


def check(request: Request) -> tuple[list[Method], list[str]]:
    """The methods to run, and what is not run.

    Raises
    ------
    UserError
        Where it cannot work. The message names the option.
    """
    if not 0 < request.minutes < math.inf:
        raise UserError("minutes", f"The budget is {request.minutes:g} minutes.", "Give --minutes above 0.")
    methods = [*chosen_methods(request.methods)]
    if request.methods and request.warm_start is None and any(method.warm for method in methods):
        raise UserError(
            "no-warm-start", "The warm start needs a model to start from.",
            "Give --warm-start MODEL, one that was not trained on the test patient.",
        )  # fmt: skip
    for package in ("torch", "lightning_fabric", "onnxscript", "skimage"):
        need(package, "train", "Training and scoring")
    if 1 in request.tables:
        _check_files(request)
        check_peers(True, request.bm3d)
    if 2 in request.tables:
        made_before(request.data, request.head)
        if request.head is not None:
            with _given_as("--head"):
                read_head(request.head)
    if request.default is not None:
        with _given_as("--default"):
            network_denoiser(request.default)
    if request.warm_start is not None:
        with _given_as("--warm-start"):
            _check_warm_start(request.warm_start)
    methods = [method for method in methods if request.warm_start or not method.warm]
    return methods, _left_out(request, methods)


def training_pair(low: Path, full: Path, train: list[str]) -> str:
    """Name of the first pair of the first patient to train on; filters are tuned on it.

    Raises
    ------
    UserError
        ``no-pairs``.
    """
    for pair in find_pairs(low, full):
        if patient_of(pair.low) == train[0]:
            return pair.name
    raise UserError(
        "no-pairs", f"--train: no file of {train[0]} is in both {low} and {full} by one name.",
        "Filters are tuned on a pair of the first patient: name one first that has pairs.",
    )  # fmt: skip


def _left_out(request: Request, methods: list[Method]) -> list[str]:
    left_out = []
    warm = 1 in request.tables and request.warm_start is not None
    others = [method.label for method in METHODS if method not in methods and (warm or not method.warm)]
    if others:
        left_out.append(f"{', '.join(others)} (not in --methods)")
    if 1 in request.tables:
        if request.warm_start is None:
            left_out.append("DML robust from a warm start (give --warm-start)")
        if request.default is None:
            left_out.append("the default model (give --default, one that was not trained on the test patient)")
        if not request.bm3d:
            left_out.append("BM3D (give --bm3d)")
    if 2 in request.tables and request.head is None:
        left_out.append("table 2 on a head CT (give --head)")
    return left_out


def _check_files(request: Request) -> None:
    if request.low is None or request.full is None or not request.train or not request.test:
        raise UserError(
            "no-data", "Table 1 is trained and measured on your own pairs of low and full dose.",
            "Give --low, --full, --train and --test; or --table 2, which needs none.",
        )  # fmt: skip
    folders = {"--low": request.low, "--full": request.full}
    patients = {}
    for option, folder in folders.items():
        with _given_as(option):
            patients[option] = {patient_of(path) for path in scan_paths(folder)}
        _check_apart(request.out, option, folder)
    if request.low.resolve() == request.full.resolve():
        raise UserError("folder-twice", f"--low and --full are one folder, {request.low}.", "Give a folder for each.")
    for option, folder in folders.items():
        missing = [name for name in request.train if name not in patients[option]]
        if missing:
            raise UserError(
                "no-such-patient",
                f"--train names {', '.join(missing)}, but {folder} ({option}) holds {_shown(patients[option])}.",
                "A patient's name is that of its files or folder up to the first _.",
            )
    training_pair(request.low, request.full, request.train)
    with _given_as("--test"):
        tested = find_pairs(request.low, request.full, request.test)
    both = {patient_of(pair.low) for pair in tested} & set(request.train)
    if both:
        raise UserError(
            "patient-overlap", f"{_shown(both)} would be trained on and tested on (--test {request.test}).",
            "A patient may be in one of --train and --test only. --test takes every file whose name starts with it:"
            " P1 takes P10 too, P1_ does not.",
        )  # fmt: skip


def _check_apart(out: Path, option: str, folder: Path) -> None:
    one, other = out.resolve(), folder.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UserError("out-folder", f"One of --out {out}, {option} {folder} is in the other.", "Give another --out.")


def _check_warm_start(model: str) -> None:
    """Find it, and try its weights in the network that is trained from them."""
    from inference_core.models.networks import build_network
    from inference_core.training.recipes import recipe_of
    from inference_core.training.start_from import start_from

    config = next(method.config for method in METHODS if method.warm)
    content = recipe_of(config, "denoiser")[1]
    architecture = {"name": content["network"], "arguments": content.get("arguments", {})}
    start_from(model, architecture, build_network(architecture["name"], architecture["arguments"]))


@contextmanager
def _given_as(option: str) -> Iterator[None]:
    """Name the option in an error that does not know of it."""
    try:
        yield
    except UserError as error:
        raise UserError(error.code, f"{option}: {error.message}", error.remedy) from error


def _shown(names: set[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
