"""One long step of a module: begun, looked at by a timer, cancelled, and at its end put into the scene."""

import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import TimeoutError

import slicer
from slicer.i18n import tr as _

from inference_core.errors import Cancelled, UserError

from .background import giveTurn
from .task import WorkerTask
from .text import durationText


class JobRun:
    """A job in the worker's process.

    :meth:`poll`, called a few dozen times a second from the main thread, only looks at what the task in the background
    has come to and, at the end, puts the result into the scene.

    Parameters
    ----------
    job : dict
        As :mod:`inference_core.worker` takes it.
    python : str
        Interpreter for the worker.
    needs : sequence of vtkMRMLNode
        Where one of them leaves the scene, or the scene closes, the run stops.
    warnings : sequence of str
        What is known before it begins.

    Attributes
    ----------
    running : bool
    fraction : float
        Part of the work that is done, 0 to 1.
    status : str
        For the user.
    warnings : list of str
    report : dict or None
        Of a run that succeeded.
    error : UserError or None
        Of a run that failed.
    log : list of str
        The last lines of the worker's log; technical.
    """

    _sceneTag = None

    def __init__(self, job: dict, python: str, needs: Sequence = (), warnings: Sequence[str] = ()) -> None:
        self.running = True
        self.fraction = 0.0
        self.status = _("Starting...")
        self.warnings = list(warnings)
        self.report: dict | None = None
        self.error: UserError | None = None
        self.log: list[str] = []
        self._job = job
        self._needs = list(needs)
        self._gone = ""  # what was taken away from under the run
        self._prepare()
        self.task = WorkerTask(self._work, python)
        self._sceneTag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self._sceneCloses)

    @property
    def cancelling(self) -> bool:
        """Whether the run was asked to stop."""
        return self.task.cancelled

    def poll(self) -> None:
        """Take in what has happened since the last call; takes some milliseconds."""
        if not self.running:
            return
        giveTurn()
        ended = self.task.outcome.done()  # before the messages are read, so that none comes after
        while not self.task.messages.empty():
            self._hear(self.task.messages.get())
        if not self.cancelling:
            self._gone = self._gone or self._whatIsGone()
            if self._gone or self._isOutdated():
                self.cancel()
        if ended:
            self._finish()

    def cancel(self) -> None:
        """Ask the worker to stop; :meth:`poll` says when it has."""
        self.status = _("Cancelling...")
        self.task.cancel()

    def stop(self) -> None:
        """End the worker now and wait until nothing of it is left; for when the application goes away."""
        self.task.kill()
        with contextlib.suppress(TimeoutError):
            self.task.outcome.exception(timeout=5)
        self.running = False
        self._letGo()

    def _prepare(self) -> None:
        """Make what the background work needs, on the main thread."""

    def _work(self, task: WorkerTask) -> dict:
        """Do it, on a background thread; gives the report."""
        return task.job(self._job)

    def _take(self, report: dict) -> None:
        """Put the result into the scene."""

    def _takeBack(self) -> None:
        """Remove what a stopped run has written; it may have been done when it was asked to stop."""

    def _doneText(self, report: dict) -> str:
        """For the user, when it is done."""
        return _("Done.")

    def _progressText(self, stage: str, done: int, total: int, timeLeft: str) -> str:
        """For the user, while it runs."""
        return _("{stage}: {done} of {total}, {time} left").format(
            stage=stage[:1].upper() + stage[1:], done=done, total=total, time=timeLeft
        )

    def _hear(self, message: dict) -> None:
        if message["type"] == "warning":
            self.warnings.append(message["message"])
        elif message["type"] == "progress" and not self.cancelling:
            self._showProgress(message)

    def _showProgress(self, message: dict) -> None:
        done, total = message["done"], message["total"]
        self.fraction = done / total if total else 0.0
        left = durationText(message.get("eta_s"))
        self.status = self._progressText(message["stage"], done, total, left)

    def _sceneCloses(self, caller, event) -> None:
        if not self.cancelling:
            self._gone = _("the scene was closed")

    def _whatIsGone(self) -> str:
        gone = next((node for node in self._needs if node.GetScene() is None), None)
        return _("{name} was removed").format(name=gone.GetName()) if gone else ""

    def _isOutdated(self) -> bool:
        """Whether what it will give belongs to something that is no more as it was."""
        return False

    def _ownError(self) -> UserError | None:
        """Why it came to nothing, where the worker does not know it."""
        return None

    def _finish(self) -> None:
        self.running = False
        self.fraction = 0.0
        self.log = list(self.task.worker.log) if self.task.worker else []
        error = self.task.outcome.exception()
        own = self._ownError()
        if own:
            self._fail(own)
        elif isinstance(error, Cancelled) or self.cancelling:
            self._takeBack()
            stopped = _("Stopped: {gone}.").format(gone=self._gone)
            self.status = stopped if self._gone else _("Cancelled. Nothing was changed.")
        elif isinstance(error, UserError):
            self._fail(error)
        elif error:
            logging.error("Faithful Imaging", exc_info=error)
            self._fail(UserError("internal", f"{type(error).__name__}: {error}", _("Please report it with the log.")))
        else:
            self.report = self.task.outcome.result()
            self.fraction = 1.0
            self._take(self.report)
            self.status = self._doneText(self.report)
        self._letGo()

    def _fail(self, error: UserError) -> None:
        self.error = error
        self.status = str(error)

    def _letGo(self) -> None:
        """Keep nothing alive that the scene does not."""
        self._needs = []
        if self._sceneTag is not None:
            slicer.mrmlScene.RemoveObserver(self._sceneTag)
            self._sceneTag = None
