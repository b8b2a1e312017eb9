"""Lungs by SimpleITK, as tutorials do it: a peer of ours that does less."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from worker.reading.volume import CTVolume

AIR_HU, CLOSING_VOXELS = -320.0, 3


def by_simpleitk(volume: CTVolume) -> NDArray[np.bool_]:
    """Return both lungs: air that no side of the images cuts, its two largest pieces, closed; with airways."""
    image = sitk.GetImageFromArray(volume.hu)
    air = sitk.BinaryThreshold(image, -2000, AIR_HU, 1, 0)
    # Planes of nothing above and below: the trachea leaves by the top, and lung with it.
    closed = sitk.ConstantPad(air, [0, 0, 1], [0, 0, 1])
    enclosed = sitk.Crop(sitk.And(closed, sitk.BinaryGrindPeak(closed) == 0), [0, 0, 1], [0, 0, 1])
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(enclosed), sortByObjectSize=True)
    lungs = sitk.BinaryMorphologicalClosing((pieces > 0) & (pieces < 3), [CLOSING_VOXELS] * 3)
    found: NDArray[np.bool_] = sitk.GetArrayFromImage(lungs).astype(np.bool_)
    return found
