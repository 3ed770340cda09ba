"""One function per picture: it takes a frame and returns a Matplotlib Figure with its description."""

from flowanalysis.report.figures.bars import gap, parts, ranked
from flowanalysis.report.figures.curves import change, clocks, front, impact, scores
from flowanalysis.report.figures.grids import matrix, overlap

__all__ = ["change", "clocks", "front", "gap", "impact", "matrix", "overlap", "parts", "ranked", "scores"]
