"""The one training loop, for every recipe; on Lightning Fabric, so for one core as for several GPUs and nodes.

A recipe (:mod:`inference_core.training.recipes`) prepares a :class:`Task` (networks, optimisers, one step) and
hands it to :func:`fit`, which does the rest: averages of the weights, losses and pictures, validation,
checkpoints, going on where a stopped or killed run was, and publishing.

What is random in a step is drawn from generators seeded by (seed, step, process), so a run that was killed and goes on
takes the same steps as one that was not.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inference_core.errors import Cancelled, UserError
from inference_core.models.card import read_card
from inference_core.training.checkpoint import checkpoints, read_state, step_of, write_checkpoint
from inference_core.training.run_record import Pictures, RunRecord
from inference_core.training.weight_average import WeightAverage


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run has; a recipe's own configuration adds to it."""

    out: Path
    """Folder of the run: configuration, log, pictures, checkpoints, and the model at the end. A run that is there
    already goes on."""
    seed: int = 0
    steps: int = 45_000
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Of the networks' forward and backward passes; weights are float32 always."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    """Processes on this machine, one a GPU (or CPU process). More machines: start it by ``fabric run``."""
    clip: float = 1.0
    """Largest norm of a network's gradient; 0: no limit."""
    average_decay: float = 0.999
    """Of the exponential moving average of the weights that is validated and published."""
    log_every: int = 200
    """Steps."""
    validate_every: int = 5000
    """Steps; pictures are made then too."""
    checkpoint_every: int = 1000
    """Steps."""
    select: Literal["last", "best"] = "last"
    """Which weights are published: the last, or those with the best validation score."""


Found = tuple[int, Any, Any]
"""A checkpoint: its step, the state that all processes share, and this process's own."""


class Stateful(Protocol):
    """What a checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        """Nested tensors, numbers, strings."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """The other way."""


@dataclass
class Task:
    """What a recipe hands to the loop.

    Attributes
    ----------
    networks, optimisers : dict
        By name, as :meth:`Fabric.setup` gave them.
    schedules : dict
        Learning-rate schedules; each takes a step after each step.
    step : callable
        ``step(rng)`` updates the networks once and returns losses to log; ``rng`` is a numpy Generator.
    publish : callable
        ``publish(folder)`` writes weights, ONNX and card; called with the averaged weights in the networks.
    validate : callable, optional
        Scores to log, with the averaged weights in the networks; ``score``, the higher the better, selects.
    pictures : callable, optional
        Panels to look at, three a row, or one (H, W, 3) uint8 picture.
    own : dict
        What differs from process to process and goes into its checkpoint, e.g. image pools.
    """

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    schedules: dict[str, torch.optim.lr_scheduler.LRScheduler]
    step: Callable[[np.random.Generator], dict[str, Tensor]]
    publish: Callable[[Path], None]
    validate: Callable[[], dict[str, float]] | None = None
    pictures: Callable[[], Pictures] | None = None
    own: dict[str, Stateful] = field(default_factory=dict)


def fit(config: RunConfig, recipe: str, prepare: Callable[[Any, Fabric], Task]) -> None:
    """Train, from the start or from the newest checkpoint in ``config.out``; a run that is done is left as it is.

    Parameters
    ----------
    config : RunConfig
    recipe : str
        Its name, for the record.
    prepare : callable
        ``prepare(config, fabric)`` gives the task.

    Raises
    ------
    UserError
        ``config-differs`` where ``out`` holds a run with another configuration, ``folder-in-use``, ``no-score``,
        ``not-positive``, ``diverged``.
    Cancelled
        After Ctrl-C or a termination signal; a checkpoint has been written.
    """
    check_positive(config, "steps", "devices", "log_every", "validate_every", "checkpoint_every")
    if config.seed < 0 or not config.clip >= 0 or not 0 <= config.average_decay < 1:
        message = "seed and clip are >= 0, average_decay from 0 to below 1."
        raise UserError("out-of-range", message, "Give other values.")
    fabric = _open_fabric(config)
    fabric.launch()
    record = RunRecord(config, recipe, writes=fabric.global_rank == 0)
    with record.claimed():
        fabric.barrier()
        found = _newest_readable(config.out, fabric.global_rank, record)
        if found and found[0] >= config.steps and _model_is_whole(config.out):
            record.say(f"This run is done: {config.out / 'model.json'}")
            return
        torch.manual_seed(config.seed)
        _run(config, fabric, prepare(config, fabric), record, found)


def _run(config: RunConfig, fabric: Fabric, task: Task, record: RunRecord, found: Found | None) -> None:
    averages = {name: WeightAverage(network, config.average_decay) for name, network in task.networks.items()}
    best: dict[str, Any] = {"score": None, "step": 0, "weights": {}}
    done = _restore(found, task, averages, best) if found else 0
    record.resume(done)
    with _stop_signals() as stopped, record.bar(done) as bar:
        for step in range(done + 1, config.steps + 1):
            rng = np.random.default_rng([config.seed, step, fabric.global_rank])
            torch.manual_seed(int(rng.integers(1 << 62)))
            losses = task.step(rng)
            for schedule in task.schedules.values():
                schedule.step()
            for name, average in averages.items():
                average.update(task.networks[name])
            bar.update()
            last = step == config.steps
            if step % config.log_every == 0 or last:
                record.log(step, _finite(_means(fabric, losses), step), bar)
            if step % config.validate_every == 0 or last:
                _look(step, config, task, averages, best, record, fabric)
            # Processes must agree to stop; asking them costs time, so several are asked at each line of the log only.
            asked = fabric.world_size == 1 or step % config.log_every == 0
            stop = asked and bool(fabric.all_reduce(torch.tensor(float(stopped())), reduce_op="sum"))
            if step % config.checkpoint_every == 0 or last or stop:
                _save(config, fabric, step, task, averages, best)
            if stop and not last:
                record.say(f"Stopped after step {step} of {config.steps}; the same command goes on from there.")
                raise Cancelled
    if fabric.global_rank == 0:
        _publish(config, task, averages, best)
    fabric.barrier()


def check_positive(config: object, *names: str) -> None:
    """Refuse a configuration in which one of these numbers is not above 0 (UserError ``not-positive``)."""
    for name in names:
        if not getattr(config, name) > 0:
            raise UserError("not-positive", f"{name} is {getattr(config, name)}.", f"Give {name}= a number above 0.")


def update(fabric: Fabric, loss: Tensor, clip: float, *parts: tuple[nn.Module, torch.optim.Optimizer]) -> None:
    """One step down one loss of each network's optimiser, with the norm of each network's gradient clipped."""
    for _, optimiser in parts:
        optimiser.zero_grad()
    fabric.backward(loss)
    for network, optimiser in parts:
        if clip:
            fabric.clip_gradients(network, optimiser, max_norm=clip, error_if_nonfinite=False)
        optimiser.step()


def warm_up_and_cosine(optimiser: torch.optim.Optimizer, steps: int, warm_up: int = 100) -> Any:
    """Learning rate from near 0 to its value in ``warm_up`` steps, then along a cosine to 0 at ``steps``."""

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + float(np.cos(np.pi * step / steps)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def constant_then_linear(optimiser: torch.optim.Optimizer, steps: int, epochs: int) -> Any:
    """Learning rate as it is for half of the epochs, then down a staircase that would reach 0 after the last.

    One stair an epoch, as CycleGAN (Zhu et al., ICCV 2017) and Jung et al. (MICCAI 2022) have it.
    """
    half = epochs // 2

    def factor(step: int) -> float:
        epoch = step * epochs // steps
        return max(0.0, 1 - max(0, epoch + 1 - half) / (epochs - half + 1))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _means(fabric: Fabric, losses: dict[str, Tensor]) -> dict[str, float]:
    """Losses as numbers, averaged over the processes."""
    return {name: torch.as_tensor(fabric.all_reduce(loss.detach())).item() for name, loss in losses.items()}


def _finite(losses: dict[str, float], step: int) -> dict[str, float]:
    if not all(np.isfinite(value) for value in losses.values()):
        raise UserError(
            "diverged",
            f"At step {step} a loss is no number any more: {losses}.",
            "Start again in another out folder with a lower learning_rate, or with precision=32-true.",
        )
    return losses


def _open_fabric(config: RunConfig) -> Fabric:
    place: dict[str, Any] = {"accelerator": config.accelerator, "devices": config.devices}
    if os.environ.get("LT_CLI_USED"):  # started by `fabric run`, which says where to run
        place = {}
    try:
        fabric = Fabric(precision=config.precision, **place)
    except (RuntimeError, ValueError) as error:
        message = f"{config.accelerator} cannot be used here: {error}"
        raise UserError("no-such-device", message, "Give accelerator=cpu.") from error
    if config.precision == "16-mixed" and fabric.device.type == "cpu":
        raise UserError("precision", "16-mixed needs a GPU.", "Give precision=bf16-mixed or 32-true.")
    return fabric


def _look(
    step: int,
    config: RunConfig,
    task: Task,
    averages: dict[str, WeightAverage],
    best: dict[str, Any],
    record: RunRecord,
    fabric: Fabric,
) -> None:
    """Validate, keep the best, make pictures: on one process, the others wait."""
    if fabric.global_rank == 0:
        with _averaged(task, averages), torch.no_grad():
            scores = task.validate() if task.validate else {}
            pictures: Pictures = task.pictures() if task.pictures else []
        if config.select == "best" and "score" not in scores:
            raise UserError(
                "no-score",
                "select=best needs something to validate on.",
                "Name patients: split.validation='[PATIENT]'; or give simulated colons of the split validation.",
            )
        if "score" in scores and (best["score"] is None or scores["score"] > best["score"]):
            best["score"], best["step"] = scores["score"], step
            if config.select == "best":
                best["weights"] = {name: {k: v.clone() for k, v in a.weights.items()} for name, a in averages.items()}
        record.validation(step, scores, pictures)
    fabric.barrier()


def _save(
    config: RunConfig,
    fabric: Fabric,
    step: int,
    task: Task,
    averages: dict[str, WeightAverage],
    best: dict[str, Any],
) -> None:
    shared = {
        "networks": {name: network.state_dict() for name, network in task.networks.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in task.optimisers.items()},
        "schedules": {name: _plain(schedule.state_dict()) for name, schedule in task.schedules.items()},
        "averages": {name: average.state_dict() for name, average in averages.items()},
        "best": best,
    }
    own = {name: thing.state_dict() for name, thing in task.own.items()}
    write_checkpoint(config.out, step, shared, own, fabric.global_rank, fabric.barrier)


def _restore(found: Found, task: Task, averages: dict[str, WeightAverage], best: dict[str, Any]) -> int:
    """Load a checkpoint; return the steps done."""
    step, shared, own = found
    parts = {"networks": task.networks, "optimisers": task.optimisers, "schedules": task.schedules}
    for part, things in {**parts, "averages": averages}.items():
        for name, thing in things.items():  # type: ignore[attr-defined]
            thing.load_state_dict(shared[part][name])
    best.update(shared["best"])
    for name, state in own.items():
        task.own[name].load_state_dict(state)
    return step


def _newest_readable(run: Path, rank: int, record: RunRecord) -> Found | None:
    """The newest checkpoint that is not damaged."""
    found = checkpoints(run)
    for checkpoint in found:
        own = checkpoint / f"process-{rank}.safetensors"
        try:
            shared = read_state(checkpoint / "shared.safetensors")
            # Not there: more processes than before; the new ones start with empty pools.
            return step_of(checkpoint), shared, read_state(own) if own.exists() else {}
        except UserError as error:
            record.say(f"{error.message} Going back to the checkpoint before it.")
    if found:
        raise UserError("bad-checkpoint", f"No checkpoint in {run} can be read.", "Start again in another out folder.")
    return None


def _model_is_whole(run: Path) -> bool:
    """Whether a model lies in a run's folder, and its weights are those that its card was written for."""
    try:
        card = read_card(run / "model.json")
        card.file("safetensors")
        card.file("onnx")
    except UserError:
        return False
    return True


def _publish(config: RunConfig, task: Task, averages: dict[str, WeightAverage], best: dict[str, Any]) -> None:
    with _averaged(task, averages):
        for name, weights in best["weights"].items():
            task.networks[name].load_state_dict(weights)
        task.publish(config.out)


@contextmanager
def _averaged(task: Task, averages: dict[str, WeightAverage]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, average in averages.items():
            stack.enter_context(average.in_place_of(task.networks[name]))
        yield


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and termination ask the loop to stop after its step; a second Ctrl-C ends it at once."""
    seen: list[int] = []

    def note(number: int, frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """A schedule's state without its functions, which the recipe makes anew."""
    return {key: value for key, value in state.items() if key != "lr_lambdas"} | {"lr_lambdas": [None]}
