"""The command that judges the readers on hostile files: read one file through the door, keep it, say what happened.

    hostile_adapter.py FILE CRS STORE OUT

Writes JSON to OUT: outcome ("load", "repair" or "error"), messages, and the number of objects. Exits 0, or 2 for an error of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(file: str, crs: str, store: str, out: str) -> int:
    """Read `file`, save it to `store` and write what happened to `out`."""
    from cim.errors import CimError, InputError
    from cim.loaders import read

    try:
        city = read(file, crs or None)
        _save(city, store)
    except (InputError, CimError) as error:
        Path(out).write_text(json.dumps({"outcome": "error", "messages": [str(error)], "objects": 0}, ensure_ascii=False), encoding="utf-8")
        return 2
    issues = city.tables["issues"].to_pylist()
    told = [issue for issue in issues if issue["severity"] != "info"]
    messages = [
        f"{Path(file).name}: {issue['code']}: {issue['message']}" for issue in (*told, *(i for i in issues if i["severity"] == "info"))
    ]
    answer = {"outcome": "repair" if told else "load", "messages": messages, "objects": len(city)}
    Path(out).write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    return 0


def _save(city: object, store: str) -> None:
    import cim

    save = getattr(cim, "save", None)
    if save is not None:
        save(city, store)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
