"""Results of checks and simulations: what they hold, how two are compared, and how they leave for other programs.

=======================  ========================================================================
``verdicts``             `Verdicts`: pass, fail or not assessed, by object; `judge`, which decides
``fields``               `Fields`: xarray fields and tables by object id
``run_record``           `RunRecord`: inputs by hash, parameters, versions, time, balance
``fingerprint``          hashes of a city, a table, an array
``comparison``           `compare`: base against option, with the noise of the difference
``figures``              `main_figures`, `mass_ledger`: the few numbers that somebody asks for first
``tolerance``            `Tolerance`: what counts as the same
``words``                `result_text`, `comparison_text`: both in words for people
``pairing``              which row belongs to which; series at common times
``files``                `save_result`, `load_result`: a folder of Parquet, GeoTIFF and JSON
``runs``                 `load_run`, `compare_runs`: a folder of results
``export``, ``geotiff``  GeoPackage, Excel, Parquet, GeoTIFF, Zarr
``protocols``            what a simulator and a check look like
=======================  ========================================================================
"""

from __future__ import annotations

from cim.results.comparison import Comparison, Noise, compare
from cim.results.export import to_csv, to_excel, to_geopackage, to_parquet, to_zarr
from cim.results.fields import Fields, Grid, grid_dataset, grid_of
from cim.results.figures import Figure, figure_table, figures_side_by_side, main_figures, mass_ledger
from cim.results.files import load_result, save_result
from cim.results.fingerprint import array_fingerprint, city_fingerprint, table_fingerprint
from cim.results.geotiff import to_geotiff
from cim.results.protocols import Check, Looking, Needing, Preparing, Resuming, Simulator, Using
from cim.results.run_record import RunRecord, Stopwatch
from cim.results.runs import compare_runs, load_run, save_run
from cim.results.tolerance import Tolerance
from cim.results.verdicts import Judgement, Verdicts, judge, verdicts_from
from cim.results.words import comparison_text, result_text

__all__ = [
    "Check",
    "Comparison",
    "Fields",
    "Figure",
    "Grid",
    "Judgement",
    "Looking",
    "Needing",
    "Noise",
    "Preparing",
    "Resuming",
    "RunRecord",
    "Simulator",
    "Stopwatch",
    "Tolerance",
    "Using",
    "Verdicts",
    "array_fingerprint",
    "city_fingerprint",
    "compare",
    "compare_runs",
    "comparison_text",
    "figure_table",
    "figures_side_by_side",
    "grid_dataset",
    "grid_of",
    "judge",
    "load_result",
    "load_run",
    "main_figures",
    "mass_ledger",
    "result_text",
    "save_result",
    "save_run",
    "table_fingerprint",
    "to_csv",
    "to_excel",
    "to_geopackage",
    "to_geotiff",
    "to_parquet",
    "to_zarr",
    "verdicts_from",
]
