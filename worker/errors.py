"""Errors of the worker, cut by what the caller can do.

    PipelineError .code .retry .detail
      InputRejected        no     the series cannot be measured rightly: job state `rejected`
      ModelFailed                 WeightsMismatch no · DeviceUnavailable yes
      ImplausibleResult    no     job state `review`: stored, never delivered silently
      ImageChanged         no     a file is not what was received: job state `failed`
      EncodingFailed       no
      DeliveryFailed              PeerUnreachable yes · PeerRefused no

`code` is stored with the event and is part of the interface: it never changes meaning.
`detail` holds the numbers behind the code, JSON-ready and free of patient identity.
"""

from typing import Any, ClassVar


class PipelineError(Exception):
    """Base of every error that ends or postpones a job.

    Parameters
    ----------
    message
        One sentence for people: what is wrong, and what to do where that is known. Carries no patient identity.
    code
        Stable snake_case code. Defaults to the class's own.
    detail
        The numbers behind the code, JSON-ready.
    """

    code: str = "pipeline_error"
    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, detail: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.detail = detail or {}


class InputRejected(PipelineError):
    """The series cannot be measured rightly."""

    code = "input_rejected"


class ImageChanged(PipelineError):
    """A file of the series is not, byte for byte, what was received."""

    code = "image_changed"


class ModelFailed(PipelineError):
    """The pattern model cannot be run."""

    code = "model_failed"


class WeightsMismatch(ModelFailed):
    """The weights file is missing, damaged, or not the one that its model card names."""

    code = "weights_mismatch"


class DeviceUnavailable(ModelFailed):
    """The device asked for is absent or out of memory at the moment."""

    code = "device_unavailable"
    retry = True


class ImplausibleResult(PipelineError):
    """The numbers came out, but no chest has such numbers: a person has to look."""

    code = "implausible_result"


class EncodingFailed(PipelineError):
    """SEG or SR could not be written from a source that was read rightly."""

    code = "encoding_failed"


class DeliveryFailed(PipelineError):
    """An object did not reach its destination."""

    code = "delivery_failed"


class PeerUnreachable(DeliveryFailed):
    """No answer, a dropped connection, or a failure that may pass: try again later."""

    code = "peer_unreachable"
    retry = True


class PeerRefused(DeliveryFailed):
    """The destination said no for good: a person has to change a setting."""

    code = "peer_refused"
