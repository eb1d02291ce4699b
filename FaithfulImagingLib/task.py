"""A job in the worker's process, on voxels that are handed over and, where it gives any, taken back.

All that takes long happens on a background thread and in that process; the main thread only looks at what has come.
"""

import queue
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

from slicer.i18n import tr as _

from inference_core.client import Worker
from inference_core.errors import Cancelled, UserError
from inference_core.image.exchange import read_exchange, write_exchange
from inference_core.scratch import scratch_folder

from .background import inBackground


class WorkerTask:
    """Work that has begun, a job or several after another.

    Parameters
    ----------
    work : callable
        ``work(task)``, called on a background thread: it calls :meth:`job` as often as it needs and returns the result.
    python : str
        Interpreter for the worker.

    Attributes
    ----------
    outcome : Future
        What ``work`` returned or raised.
    messages : queue
        The worker's progress, logs and warnings.
    worker : Worker or None
        The last one.
    """

    def __init__(self, work, python: str) -> None:
        self.messages: queue.SimpleQueue = queue.SimpleQueue()
        self.worker: Worker | None = None
        self._python = python
        self._cancelled = threading.Event()
        self.outcome: Future = inBackground(self._guarded, work)

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the worker to stop; returns at once."""
        self._cancelled.set()
        if self.worker:
            self.worker.cancel()

    def kill(self) -> None:
        """End the worker now."""
        self._cancelled.set()
        if self.worker:
            self.worker.kill()

    def job(self, job: dict, volumes: dict | None = None, indexToLps=None, result=None) -> dict:
        """Run one job; called from ``work``.

        Parameters
        ----------
        job : dict
            As :mod:`inference_core.worker` takes it, without the files that are made here.
        volumes : dict, optional
            Voxels to hand over, by the job's field that gets their file.
        indexToLps : (4, 4) array, optional
            Where they lie.
        result : array, optional
            Where to put the voxels that the job writes.

        Returns
        -------
        dict
            The worker's report.
        """
        with scratch_folder() as scratch:
            files = {}
            for field, voxels in (volumes or {}).items():
                folder = Path(scratch, field)
                folder.mkdir()
                files[field] = str(write_exchange(voxels, indexToLps, folder))
                self._stopIfCancelled()
            output = Path(scratch, "output.nhdr")
            if result is not None:
                files["output"] = str(output)
            self.worker = self._startWorker({**job, **files})
            if self.cancelled:  # in the moment before the worker was there to be told
                self.worker.cancel()
            report = self._listen(self.worker)
            if result is not None:
                read_exchange(output, result)
            return report

    def _guarded(self, work):
        try:
            return work(self)
        except OSError as error:
            raise UserError(
                "no-scratch",
                _("The volume could not be handed to the worker: {error}.").format(error=error),
                _("Check that the temporary folder {folder} is there, can be written to and has space.").format(
                    folder=tempfile.tempdir
                ),
            ) from error

    def _stopIfCancelled(self) -> None:
        if self.cancelled:
            raise Cancelled

    def _startWorker(self, job: dict) -> Worker:
        try:
            return Worker(job, self._python)
        except OSError as error:
            raise UserError(
                "no-python",
                _("The Python interpreter {path} could not be started: {error}.").format(
                    path=self._python, error=error
                ),
                _("Start Slicer by its launcher, or install it anew."),
            ) from error

    def _listen(self, worker: Worker) -> dict:
        while True:
            message = worker.next_message()
            if message["type"] == "result":
                self._stopIfCancelled()
                return message["report"]
            if message["type"] == "error":
                if self.cancelled or message["code"] == "cancelled":
                    raise Cancelled
                raise UserError(message["code"], message["message"], message["remedy"])
            self.messages.put(message)
