"""The trainings behind the tables, as a table: how long each was, and of what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from inference_core.evaluation.reproduction.budget import Job, Trained, settings_shown
from inference_core.evaluation.table import markdown

BUDGET_NOTE = """\
Each training had {minutes:g} CPU minutes of one thread for its steps (starting, reading and publishing not counted):
the steps follow from what a step cost in a short measurement. Equal time, not equal steps."""


def trainings_table(trainings: Mapping[str, tuple[Job, Trained]]) -> str:
    """What was trained, how, and for how long, as Markdown."""

    def column(cells: Iterable[str]) -> list[str]:
        return [*cells]

    rows = trainings.values()
    return markdown(
        {
            "training": column(trainings),
            "configuration": column(job.config for job, _ in rows),
            "with": column(" ".join(map(_short, settings_shown(job))) or "-" for job, _ in rows),
            "CPU s a step": column(f"{done.seconds_a_step:.3g}" for _, done in rows),
            "steps": column(f"{done.steps}" for _, done in rows),
            "CPU s of all steps": column(f"{done.cpu_seconds:.0f}" for _, done in rows),
        }
    )


def _short(word: str) -> str:
    """``key=value`` without the folders of a machine."""
    name, equals, value = word.partition("=")
    return word if not Path(value).is_absolute() else f"{name}{equals}{'/'.join(Path(value).parts[-2:])}"
