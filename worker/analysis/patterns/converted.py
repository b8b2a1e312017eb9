"""The network as OpenVINO reads it, kept in a folder: to build and convert it costs seconds and 200 MB each time."""

import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from worker.analysis.patterns import network
from worker.analysis.patterns.openvino_alone import openvino

logger = logging.getLogger(__name__)
# What decides how a network is built and converted, beside its weights.
PACKAGES = ("openvino", "segmentation-models-pytorch", "torch", "torchvision")
FILES = GRAPH, NUMBERS, SUM = ("network.xml", "network.bin", "sha256")


def kept(folder: Path | None, weights_digest: str, convert: Callable[[], openvino.Model]) -> openvino.Model:
    """Return the network of these weights from ``folder``; where it is not there, convert it and keep it.

    A folder that others may write to is not believed, a file that was changed is converted anew, and where nothing can
    be kept the network works all the same: the log says why. None keeps nothing.
    """
    if folder is None:
        return convert()
    place = folder / _key(weights_digest)
    try:
        _make_private(folder)
        if (found := _read(place)) is not None:
            return found
    except OSError as error:
        _warn(folder, error)
        return convert()
    model = convert()
    try:
        _write(model, place)
    except (OSError, RuntimeError) as error:
        _warn(folder, error)
    return model


def _warn(folder: Path, error: Exception) -> None:
    logger.warning("the converted network is not kept", extra={"folder": str(folder), "reason": str(error)})


def _key(weights_digest: str) -> str:
    said = [weights_digest, *(f"{name} {version(name)}" for name in PACKAGES), network.ENCODER, str(network.DECODER)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _make_private(folder: Path) -> None:
    """Make the folder. Raises PermissionError where somebody else could put a network there."""
    folder.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} belongs to another user, or others may write to it")


def _read(place: Path) -> openvino.Model | None:
    if not place.is_dir():
        return None
    try:
        if (place / SUM).read_text() == _sum(place):
            return openvino.Core().read_model(place / GRAPH)
    except FileNotFoundError:
        pass
    logger.warning("the kept network was changed and is converted again", extra={"folder": str(place)})
    shutil.rmtree(place)
    return None


def _write(model: openvino.Model, place: Path) -> None:
    """Write aside, then rename: whoever reads finds all of it or nothing."""
    aside = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        openvino.save_model(model, aside / GRAPH, compress_to_fp16=False)
        (aside / SUM).write_text(_sum(aside))
        aside.rename(place)
    except OSError:
        # Another worker was first: its network is as good.
        if not place.is_dir():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sum(place: Path) -> str:
    return hashlib.sha256(b"".join((place / name).read_bytes() for name in (GRAPH, NUMBERS))).hexdigest()
