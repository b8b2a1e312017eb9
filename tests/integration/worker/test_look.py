"""Series without truth, looked at: each ends as a line, measured or with the code of what refused it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.json_page import require_documented
from worker import look
from worker.analysis.patterns import model
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.settings import PACKAGED_WEIGHTS

SPEC = PhantomSpec(seed=7, shape=(60, 128, 128), spacing_mm=(4.5, 2.9, 2.9), extent_pct=0.0)


def write_nifti(phantom: Phantom, folder: Path) -> None:
    """Write a phantom as ``X_ct.nii.gz`` and its lungs as ``X_lungs.nii.gz``."""
    folder.mkdir()
    for name, values in (("ct", phantom.volume.hu), ("lungs", (phantom.lungs.labels > 0).astype(np.uint8))):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(tuple(reversed(phantom.volume.spacing_mm)))
        sitk.WriteImage(image, str(folder / f"p_{name}.nii.gz"))


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[look.Looked], Path]:
    root = tmp_path_factory.mktemp("look")
    phantom = render(SPEC)
    write_series(phantom, root / "in" / "a", PhantomIdentity(patient_name="CANARY^NAME", patient_id="CANARY"))
    write_nifti(phantom, root / "in" / "b")
    write_series(render(replace(SPEC, shape=(3, 128, 128))), root / "in" / "c", PhantomIdentity())
    rows = look.run(root / "in", model.load(PACKAGED_WEIGHTS, "cpu"), root / "out", lambda *_: None)
    return rows, root / "out"


def test_every_series_of_a_folder_is_a_line(looked: tuple[list[look.Looked], Path]) -> None:
    rows, _ = looked
    assert [row.name for row in rows] == ["a", "b/p", "c"]
    refused = rows[2]
    assert refused.outcome not in ("", look.MEASURED)
    assert not refused.extent_pct


def test_lungs_that_somebody_drew_are_compared(looked: tuple[list[look.Looked], Path]) -> None:
    (series, nifti, _), _ = looked
    assert series.dice_lungs is None
    assert nifti.dice_lungs is not None
    assert nifti.dice_lungs > 0.95
    assert nifti.lung_ml == pytest.approx(series.lung_ml, rel=0.01)


def test_table_json_and_pictures_name_no_patient(looked: tuple[list[look.Looked], Path]) -> None:
    rows, out = looked
    require_documented("evaluate --look", look.as_json(rows))
    assert json.loads((out / "look.json").read_text()) == json.loads(json.dumps(look.as_json(rows)))
    assert all(f"| {row.name} |" in (out / "look.md").read_text() for row in rows)
    assert sorted(path.name for path in out.glob("*.png")) == ["a.png", "b-p.png"]
    assert not any(b"CANARY" in path.read_bytes() for path in out.iterdir())
