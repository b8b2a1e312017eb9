"""The lung segmentation: which voxels are right and left lung."""

from worker.analysis.lungs.segmentation import segment

__all__ = ["segment"]
