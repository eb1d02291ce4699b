"""What a run leaves to read: ``config.yaml``, ``log.jsonl``, ``pictures/``, TensorBoard, and a bar while it goes."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_core.errors import UserError
from inference_core.image.picture import Panel, write_panels
from inference_core.image.writing import write_aside
from inference_core.scratch import process_alive
from inference_core.training.checkpoint import newest_checkpoint

if TYPE_CHECKING:
    from inference_core.training.loop import RunConfig

FREE = {"out", "devices", "accelerator", "log_every", "checkpoint_every"}
"""Fields in which a run that goes on may differ from before."""


Pictures = list[Panel] | NDArray[np.uint8]
"""Slices to be put three a row, or a picture, (H, W, 3), that is made already."""


class RunRecord:
    """The record of one run.

    Parameters
    ----------
    config : RunConfig
    recipe : str
    writes : bool
        Whether this process is the one that writes.
    """

    def __init__(self, config: RunConfig, recipe: str, writes: bool) -> None:
        self.config = config
        self.recipe = recipe
        self.writes = writes
        self.started = time.process_time()
        self.board: Any = None

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Within the block the folder is this run's: no other process may train in it.

        Raises
        ------
        UserError
            ``folder-in-use``, ``config-differs``, ``bad-config``.
        """
        if not self.writes:
            yield
            return
        _make_folder(self.config.out)
        lock = self.config.out / "running"
        _take(lock)
        try:
            self._write_or_compare()
            yield
        finally:
            lock.unlink(missing_ok=True)

    def _write_or_compare(self) -> None:
        """Write the configuration, or check that the run whose checkpoints are there has the same."""
        import yaml

        path = self.config.out / "config.yaml"
        now = {"recipe": self.recipe, **json.loads(json.dumps(asdict(self.config), default=str))}
        if newest_checkpoint(self.config.out) is None:
            write_aside(path, lambda aside: aside.write_text(yaml.safe_dump(now, sort_keys=False), encoding="utf-8"))
            return
        try:
            before = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
            raise UserError(
                "bad-config", f"{path} of the run that is there cannot be read.", "Give another out folder."
            ) from error
        differing = [key for key in {**before, **now} if key not in FREE and before.get(key) != now.get(key)]
        if differing:
            raise UserError(
                "config-differs",
                f"{self.config.out} holds a run with other settings: "
                + ", ".join(f"{key} {before.get(key)} (now {now.get(key)})" for key in differing)
                + ".",
                "Give another out folder, or the settings of that run to go on with it.",
            )

    def resume(self, done: int) -> None:
        """Drop log lines past the checkpoint that the run goes on from; start TensorBoard where it is installed."""
        if not self.writes:
            return
        log = self.config.out / "log.jsonl"
        if log.exists():
            lines = log.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _is_whole(line) and json.loads(line)["step"] <= done]
            write_aside(log, lambda aside: aside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8"))
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            folder = str(self.config.out / "tensorboard")
            self.board = SummaryWriter(folder, purge_step=done + 1)
        if done:
            self.say(f"Going on after step {done} of {self.config.steps}.")

    def bar(self, done: int) -> AbstractContextManager[Any]:
        """Progress bar on standard error."""
        from tqdm import tqdm

        return tqdm(total=self.config.steps, initial=done, unit="step", disable=None if self.writes else True)

    def log(self, step: int, losses: dict[str, float], bar: Any) -> None:
        """One line of losses."""
        bar.set_postfix({name: f"{value:.4g}" for name, value in losses.items()}, refresh=False)
        self._line(step, losses)

    def validation(self, step: int, scores: dict[str, float], pictures: Pictures) -> None:
        """Scores and pictures."""
        if scores:
            self._line(step, scores)
            self.say(f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items()))
        if len(pictures):
            path = self.config.out / "pictures" / f"step-{step:08d}.png"
            path.parent.mkdir(exist_ok=True)
            write_aside(path, lambda aside: _write(pictures, aside))
            if self.board:
                from PIL import Image

                shown = np.asarray(Image.open(path))
                self.board.add_image("pictures", shown, step, dataformats="HWC" if shown.ndim == 3 else "HW")

    def say(self, text: str) -> None:
        """A line on standard error, above the bar."""
        from tqdm import tqdm

        if self.writes:
            tqdm.write(text, file=sys.stderr)

    def _line(self, step: int, values: dict[str, float]) -> None:
        if not self.writes:
            return
        line = {"step": step, "cpu_s": round(time.process_time() - self.started, 1), **values}
        with open(self.config.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)
            self.board.flush()


def _write(pictures: Pictures, path: Path) -> None:
    if isinstance(pictures, list):
        write_panels(pictures, path)
    else:
        from PIL import Image

        Image.fromarray(pictures).save(path, format="PNG")


def _make_folder(out: Path) -> None:
    """Make the run's folder; refuse one that holds anything else."""
    if out.exists() and not out.is_dir():
        raise UserError("out-folder", f"{out} is a file.", "Give out= a new folder.")
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if there and not there & {"config.yaml", "running"}:
        raise UserError("out-folder", f"{out.resolve()} holds other files.", "Give out= a new folder, not the data's.")
    out.mkdir(parents=True, exist_ok=True)


def _take(lock: Path) -> None:
    """Write who runs here; what a killed process of this machine left is taken over."""
    mine = {"machine": platform.node(), "process": os.getpid()}
    try:
        with open(lock, "x", encoding="utf-8") as file:
            json.dump(mine, file)
    except FileExistsError:
        try:
            other = json.loads(lock.read_text(encoding="utf-8"))
            alive = other["machine"] != mine["machine"] or process_alive(int(other["process"]))
        except (ValueError, KeyError, TypeError):
            alive = False
        if alive:
            raise UserError(
                "folder-in-use",
                f"Another process trains in {lock.parent} ({other['machine']}, process {other['process']}).",
                f"Give another out folder; if that process is gone for good, remove {lock}.",
            ) from None
        lock.write_text(json.dumps(mine), encoding="utf-8")


def _is_whole(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def read_log(run: Path) -> list[dict[str, float]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
