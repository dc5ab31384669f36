"""`sql`: questions to a city in SQL, answered by DuckDB as an engine only: nothing is written, no file and no host is reached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.model.schema import SCHEMAS
from cim.storage.parts import class_table
from cim.storage.scan import StoredTable

if TYPE_CHECKING:
    import duckdb
    import pandas

    from cim.model import City

__all__ = ["sql"]

_THREADS = 4
_MEMORY = "2GB"


def sql(city: City | str | Path, query: str) -> pandas.DataFrame:
    """Answer a SQL query over the tables of a city.

    Tables are ``objects`` and the others of the model by name; each class is a table of its own, core columns and attributes side
    by side, for example ``Building``. Names do not mind upper or lower case.

    Parameters
    ----------
    city
        A city, or the path of a store (its newest version).
    query
        One SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN) in the SQL of DuckDB.

    Returns
    -------
    A GeoDataFrame when the answer has a column ``footprint``, else a DataFrame.

    Raises
    ------
    UsageError
        If the query is wrong, or asks for more than reading the tables; the message is DuckDB's.

    Examples
    --------
    >>> import shapely
    >>> from cim.model import CityBuilder
    >>> builder = CityBuilder("EPSG:7415")
    >>> _ = builder.add_objects("Building", ["a", "b"], footprints=shapely.box([0, 5], 0, [1, 6], 1))
    >>> sql(builder.build(), "SELECT count(*) AS n FROM Building")["n"].item()
    2
    """
    import duckdb

    if isinstance(city, str | Path):
        from cim.storage.reader import open as open_store

        city = open_store(city)
    connection = _engine()
    try:
        _register(connection, city)
        connection.execute("SET lock_configuration = true")
        _only_reads(connection, query)
        answer = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        msg = f"the query cannot be answered: {error}"
        raise UsageError(msg) from error
    finally:
        connection.close()
    return _frame(answer, city)


def _engine() -> duckdb.DuckDBPyConnection:
    """Return an empty database in memory that reaches nothing outside itself."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,  # else names of Python variables would be tables
        "memory_limit": _MEMORY,
        "max_temp_directory_size": "0B",
        "threads": min(_THREADS, os.cpu_count() or 1),
    }
    return duckdb.connect(":memory:", config=settings)


def _register(connection: duckdb.DuckDBPyConnection, city: City) -> None:
    tables: dict[str, Any] = {name: city.tables.entry(name) for name in SCHEMAS}
    taken = {name.casefold() for name in tables}
    for name in city.attributes:
        shown = name if name.casefold() not in taken else f"{name}_class"
        taken.add(shown.casefold())
        tables[shown] = _class(city, name)
    for name, table in tables.items():
        connection.register(name, table.dataset if isinstance(table, StoredTable) else table)


def _class(city: City, name: str) -> Any:
    """Return a class with all its columns: the stored part where nothing was changed, else both tables side by side."""
    core, own = city.tables.entry("objects"), city.attributes.entry(name)
    if isinstance(core, StoredTable) and isinstance(own, StoredTable) and own.parts[0] in core.parts:
        return StoredTable(own.root, own.parts, "class", facts=own.facts)
    return class_table(city.tables["objects"], city.attributes[name], name)


def _only_reads(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    import duckdb

    statements = connection.extract_statements(query)
    allowed = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if len(statements) != 1 or statements[0].type not in allowed:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        msg = f"the query holds {found}; give one SELECT: a city is changed through cim.scenario.Change, never through SQL"
        raise UsageError(msg)


def _frame(answer: Any, city: City) -> pandas.DataFrame:
    import numpy as np
    import pyarrow as pa

    names = answer.column_names
    frame: pandas.DataFrame = answer.to_pandas()
    if "footprint" not in names or not pa.types.is_binary(answer["footprint"].type):
        return frame
    import geopandas
    import shapely

    shapes = shapely.from_wkb(np.asarray(answer["footprint"].to_pylist() or [], object))
    located: pandas.DataFrame = geopandas.GeoDataFrame(frame.drop(columns="footprint"), geometry=shapes, crs=city.crs.horizontal)
    return located
