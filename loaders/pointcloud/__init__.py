"""Point clouds: LAS and LAZ files, their points as arrays."""

from __future__ import annotations

from cim.loaders.pointcloud.points import PointArrays, iter_points, read_points
from cim.loaders.pointcloud.reader import READER, PointCloudReader

__all__ = ["READER", "PointArrays", "PointCloudReader", "iter_points", "read_points"]
