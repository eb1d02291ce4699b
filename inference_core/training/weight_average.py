"""Exponential moving average of weights: what a run validates, shows and publishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of a network's weights over the last 1 / (1 - decay) steps or so.

    Early on, when there are fewer steps than that, it is the average of all of them (decay (1 + n) / (10 + n)).

    Parameters
    ----------
    network : Module
    decay : float
        0 follows the weights at once, 0.999 over some thousand steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Within the block ``network`` has the averaged weights and is in evaluation mode."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        training = network.training
        network.load_state_dict(self.weights)
        network.eval()
        try:
            yield
        finally:
            network.load_state_dict(own)
            network.train(training)

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """From a checkpoint."""
        weights = state["weights"]
        assert isinstance(weights, dict)
        self.updates = int(state["updates"])  # type: ignore[call-overload]
        for name, value in weights.items():
            assert isinstance(value, Tensor)
            self.weights[name].copy_(value)
