"""The kept network: the same answers without building it, and nothing believed that others may have put there."""

from pathlib import Path

import pytest
import torch

from worker.analysis.patterns import converted, model
from worker.packaged_model import WEIGHTS


def answer(cache: Path | None) -> torch.Tensor:
    stacks = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    return model.load(WEIGHTS, "cpu", "openvino", cache).engine(stacks)


def refuse(_: Path) -> torch.nn.Module:
    raise AssertionError("the network was built again")


@pytest.fixture(scope="module")
def reference() -> torch.Tensor:
    return answer(None)


@pytest.fixture
def cache(tmp_path: Path, reference: torch.Tensor) -> Path:
    """A folder that keeps the network."""
    assert torch.equal(answer(tmp_path / "cache"), reference)
    return tmp_path / "cache"


def test_a_kept_network_is_not_built_again(
    cache: Path, reference: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "weighted", refuse)
    assert torch.equal(answer(cache), reference)
    assert cache.stat().st_mode & 0o077 == 0


def test_other_weights_are_another_network(cache: Path) -> None:
    (known,) = cache.iterdir()
    assert converted._key("another digest") != known.name


@pytest.mark.parametrize("name", converted.FILES)
def test_a_kept_file_that_was_changed_is_made_again(
    cache: Path, reference: torch.Tensor, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (place,) = cache.iterdir()
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).write_bytes(content)
    assert torch.equal(answer(cache), reference)
    assert "changed" in caplog.text
    assert (place / name).read_bytes() != bytes(content)


def test_a_network_cut_off_is_made_again(cache: Path, reference: torch.Tensor) -> None:
    (place,) = cache.iterdir()
    (place / converted.NUMBERS).unlink()
    assert torch.equal(answer(cache), reference)
    assert (place / converted.NUMBERS).exists()


def test_a_folder_that_others_may_write_to_is_not_believed(
    cache: Path, reference: torch.Tensor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.chmod(0o777)
    assert torch.equal(answer(cache), reference)
    monkeypatch.setattr(model, "weighted", refuse)
    with pytest.raises(AssertionError, match="built again"):
        answer(cache)
    assert "others may write" in caplog.records[-1].__dict__["reason"]


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path, reference: torch.Tensor) -> None:
    (tmp_path / "file").write_text("no folder")
    assert torch.equal(answer(tmp_path / "file" / "cache"), reference)
