"""The benchmarks measure what they say: time and memory of each way alone, and the best of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from inference_core.errors import UserError
from inference_core.image.volume import Volume

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from pareto import Point, frontier, write_pareto
from processes import MEBIBYTE, open_all
from ways import Way

CT = Volume(np.zeros((1, 32, 32), np.int16), (1.0, 1.0, 1.0))


def lean():
    return lambda ct: ct.voxels[0] + 1, None


def fat():
    """Holds 200 MiB while it works, and none after."""

    def run(ct):
        np.ones(200 * MEBIBYTE, np.uint8)
        return ct.voxels[0]

    return run, lambda low, reference: "7"


def loaded():
    """Holds 200 MiB from the start."""
    held = np.ones(200 * MEBIBYTE, np.uint8)
    return lambda ct: ct.voxels[0] + held[0], None


def refuses():
    raise UserError("no-such-device", "There is none.", "")


@pytest.mark.skipif(sys.platform != "linux", reason="memory by /proc")
def test_each_way_has_its_own_memory_and_time():
    ballast = np.ones(300 * MEBIBYTE, np.uint8)  # the parent's memory is not a way's
    servers = open_all([Way(one.__name__, one) for one in (lean, fat, loaded, refuses)])
    assert servers["refuses"].refused == "There is none."
    assert servers["fat"].tune(CT, CT) == "7"
    assert servers["lean"].tune(CT, CT) == ""
    for name in ("lean", "fat", "loaded"):
        output = servers[name].run(CT)
        np.testing.assert_array_equal(output, 0 if name == "fat" else 1)
        servers[name].end()
    above = {name: (one.peak - one.loaded) / MEBIBYTE for name, one in servers.items() if not one.refused}
    assert above["lean"] < 20
    assert above["loaded"] < 20
    assert 180 < above["fat"] < 260
    assert servers["lean"].peak < 200 * MEBIBYTE < servers["loaded"].loaded
    assert 0 < servers["lean"].seconds[0] < servers["fat"].seconds[0] < 10
    assert ballast[0] == 1


def test_the_frontier_is_what_nothing_beats_in_both(tmp_path):
    points = [Point("fast", 0.1, 30, True), Point("slow", 9, 33, False), Point("worse", 1, 29, False),
              Point("good", 0.5, 35, True)]  # fmt: skip
    assert [one.name for one in frontier(points)] == ["fast", "good"]
    write_pareto(points, {"papers": 2.0}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
