"""Settings of the worker: environment variables that begin with ``WORKER_``."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PACKAGED_WEIGHTS = Path(__file__).parent / "models" / "ssc-ild-unet-2-synthetic.safetensors"


class WorkerSettings(BaseSettings):
    """What a worker needs to know of its site."""

    model_config = SettingsConfigDict(env_prefix="WORKER_", frozen=True, extra="forbid")

    broker_url: str = Field(
        "embedded", description="Celery broker, as redis://host:6379/0; 'embedded' starts a private Redis from pip"
    )
    destinations: tuple[str, ...] = Field(
        (),
        description='JSON list of archives for SEG and SR: ["dicom://AET@host:port"]; none: results stay in the folder',
    )
    ae_title: str = Field("SCLEROSCAN", min_length=1, max_length=16, description="Calling AE title when delivering")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda:0")
    engine: str = Field(
        "auto",
        pattern=r"^(auto|torch|openvino)$",
        description="What runs the network: auto (OpenVINO on a CPU, torch on a GPU), torch or openvino",
    )
    weights: Path = Field(PACKAGED_WEIGHTS, description="safetensors file of the pattern model, model card beside it")
    results_dir: Path = Field(
        Path("scleroscan-site/results"), description="Folder for SEG, SR and pictures of each job"
    )
    lease_s: float = Field(
        60.0, ge=1, le=3600, description="A job not renewed for so many seconds may be claimed again"
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Claims of one job before it rests as failed")
    time_limit_s: int = Field(3600, ge=60, le=86400, description="Hard limit of one task, seconds")
    delivery_retry_s: float = Field(
        5.0, ge=0.1, le=3600, description="First pause before a delivery is tried again; doubles"
    )
    delivery_retry_max_s: float = Field(1800.0, ge=1, le=86400, description="Longest pause between delivery tries")
    delivery_give_up_s: float = Field(
        86400.0, ge=1, description="A delivery not done after so many seconds rests as failed"
    )
