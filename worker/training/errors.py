"""Errors of training and evaluation.

TrainingError .code
  CheckpointOfAnotherPlan   a run of other options left its checkpoint where this one would go on
  DatasetRejected           labelled data that cannot be trained on or judged by: the code says why
"""

from worker.errors import PipelineError


class TrainingError(PipelineError):
    """Base of all errors of training and evaluation."""

    code = "training_error"


class CheckpointOfAnotherPlan(TrainingError):
    """The checkpoint beside the weights belongs to another run."""

    code = "checkpoint_of_another_plan"


class DatasetRejected(TrainingError):
    """A labelled data set cannot be used as it is."""

    code = "dataset_rejected"
