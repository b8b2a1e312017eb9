"""``python -m tests.support.remembering_worker work --queue analyse``: a worker for many copies of one chest.

It analyses the first. Of the others it has the numbers already, and writes the objects under UIDs of their own. All
else is the worker's: claim, stages, rows, and that each image is what was received.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from celery import signals
from pydicom import dcmread

from compose import command_line

STAGES = ("read", "lungs", "patterns", "quantify", "encode")


class Remembered:
    """Stands for :func:`worker.pipeline.run`, which it calls once."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._first: Any = None

    def __call__(self, task: Any, model: Any, enter: Callable[[str], None]) -> Any:
        """Return the result of the first series, with objects for this one."""
        # What these need must not be loaded before the fork.
        from worker.reading import unchanged  # noqa: PLC0415

        if self._first is None:
            self._first = self._run(task, model, enter)
            return self._first
        for stage in STAGES:
            enter(stage)
        unchanged.require(task.files)
        return replace(self._first, outputs=tuple(_copied(one, task) for one in self._first.outputs))


def _copied(output: Any, task: Any) -> Any:
    from worker.results import files, uids  # noqa: PLC0415

    if output.sop_uid is None:
        target = task.folder / Path(output.path).name
        target.hardlink_to(output.path)
        return replace(output, path=str(target))
    ds = dcmread(output.path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uids.derive(task.job_key, Path(output.path).name)
    written = files.write_object(task.folder, output.kind, ds, output.role)
    return replace(output, path=str(written.path), digest=written.digest, sop_uid=written.sop_uid)


@signals.worker_process_init.connect
def remember(**_: Any) -> None:
    """Remember from now on, in the process that computes."""
    from worker import pipeline  # noqa: PLC0415

    pipeline.run = Remembered(pipeline.run)


if __name__ == "__main__":
    command_line.app()
