"""Ways that take turns, each in a process of its own: CPU seconds, wall seconds and memory are its alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from ways import ONE_THREAD, Way

from inference_core.errors import UserError
from inference_core.image.volume import Volume

MEBIBYTE = 2**20


@dataclass
class Server:
    """A way in its process.

    Attributes
    ----------
    pipe : Connection
    refused : str
        Why it cannot be run here; empty where it can.
    seconds, wall : list of float
        CPU and wall seconds of the slices that it was timed on.
    loaded, peak : int
        Bytes: resident when opened, and the most since then, while it ran; known when it was asked to end.
    """

    pipe: Connection
    refused: str = ""
    seconds: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    loaded: int = 0
    peak: int = 0

    def tune(self, low: Volume, reference: Volume) -> str:
        """Tune it; the strength in words, empty for a way that has none."""
        self.pipe.send(("tune", low, reference))
        return str(self._answer())

    def run(self, ct: Volume, timed: bool = True) -> np.ndarray:
        """A slice through it."""
        self.pipe.send(("run", ct))
        cpu, wall, output = self._answer()
        if timed:
            self.seconds.append(cpu)
            self.wall.append(wall)
        return output

    def end(self) -> None:
        """End the process and learn its memory."""
        self.pipe.send(("end",))
        self.loaded, self.peak = self._answer()

    def _answer(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            raise RuntimeError("The process of a way died; what it said stands above.") from None


def open_all(ways: list[Way]) -> dict[str, Server]:
    """Start all ways, two at a time, and wait until they are open."""
    servers: dict[str, Server] = {}
    for pair in (ways[k : k + 2] for k in range(0, len(ways), 2)):
        for way in pair:
            with changed_environment(ONE_THREAD | way.environment):
                servers[way.name] = Server(start(serve, way))
        for way in pair:
            server = servers[way.name]
            server.refused = server.pipe.recv()
    return servers


def serve(way: Way, pipe: Connection) -> None:
    """In a process of its own: open the way, then answer one question after another."""
    try:
        run, tune = way.open(*way.arguments)
    except UserError as error:
        pipe.send(error.message)
        return
    pipe.send("")
    forget_peak()
    loaded = memory()
    while True:
        question, *given = pipe.recv()
        if question == "end":
            pipe.send((loaded, peak_memory()))
            return
        if question == "tune":
            pipe.send(tune(*given) if tune else "")
            forget_peak()
            loaded = memory()
            continue
        wall, cpu = time.perf_counter(), time.process_time()
        output = run(*given)
        pipe.send((time.process_time() - cpu, time.perf_counter() - wall, output))


def start(target: Callable[..., None], argument: object) -> Connection:
    """Run ``target(argument, pipe)`` in a fresh process; the other end of the pipe."""
    processes = multiprocessing.get_context("spawn")
    mine, theirs = processes.Pipe()
    processes.Process(target=target, args=(argument, theirs), daemon=True).start()
    theirs.close()
    return mine


@contextmanager
def changed_environment(variables: dict[str, str]):
    """Variables for the processes that are started within the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def memory() -> int:
    """Bytes; resident now (of other systems than Linux: the most so far)."""
    return _status("VmRSS") or _most()


def peak_memory() -> int:
    """Bytes; the most that was resident, since :func:`forget_peak` on Linux."""
    return _status("VmHWM") or _most()


def forget_peak() -> None:
    """Count the peak from here, where the system can; a fresh process inherits its parent's otherwise."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
