"""A bar for jobs of several stages."""

from __future__ import annotations

import sys
from typing import Any

from inference_core import client


def run_under_bar(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job of several stages in the worker under a progress bar; warnings go to standard error."""
    from tqdm import tqdm

    with tqdm(total=None, bar_format="{desc}", file=sys.stderr, disable=None, leave=False) as bar:
        stage = None

        def show(message: dict[str, Any]) -> None:
            nonlocal stage
            if message["type"] != "progress":
                prefix = "warning: " if message["type"] == "warning" else ""
                tqdm.write(f"{prefix}{message['message']}", file=sys.stderr)
                return
            if message["stage"] != stage:
                stage = message["stage"]
                bar.reset(total=message["total"])
            counted = message["total"] > 1
            bar.total, bar.unit = message["total"], "step" if stage == "label" else "frame"
            bar.bar_format = None if counted else "{desc} ... {elapsed}"
            bar.set_description_str(f"{stage}: " if counted else stage)
            bar.update(message["done"] - bar.n)

        return client.run(job, show)
