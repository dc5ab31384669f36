"""The repository is put together as the packaging expects: a wrong link or list passes silently everywhere else."""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOP_FOLDERS = ("loaders", "scenes", "sim")  # lie at the top, import under `cim`
ENTRY_POINTS = [
    (group, name, target) for group, points in PROJECT["project"].get("entry-points", {}).items() for name, target in sorted(points.items())
]
# Imported only by name, at run time: (import name, who asks for it)
ASKED_BY_NAME = {"lazrs": "laspy", "openpyxl": "pandas"}


def package_folders() -> dict[str, Path]:
    """Return every folder that holds an `__init__.py`, by its import name; links are not followed."""
    found = {}
    for top in ("cim", *TOP_FOLDERS):
        for folder, below, files in os.walk(ROOT / top):
            below[:] = [name for name in below if not (Path(folder) / name).is_symlink() and name != "__pycache__"]
            if "__init__.py" in files:
                relative = Path(folder).relative_to(ROOT)
                found[".".join(relative.parts if top == "cim" else ("cim", *relative.parts))] = Path(folder)
    return found


def module_file(name: str) -> Path | None:
    """Return the file of a module of ours, None when there is none."""
    path = ROOT.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def source_files() -> list[Path]:
    return sorted(path for folder in package_folders().values() for path in folder.glob("*.py"))


def requirement_names(lines: list[str]) -> set[str]:
    """Return distribution names as PEP 503 normalises them, extras resolved one level (`laspy[lazrs]` brings lazrs)."""
    names = set()
    for line in lines:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", line)
        assert match, line
        names |= {re.sub(r"[-_.]+", "-", name).lower() for name in (match[1], *(match[2] or "").split(",")) if name}
    return names


@pytest.mark.parametrize("name", TOP_FOLDERS)
def test_folder_is_linked_under_cim(name: str) -> None:
    link = ROOT / "cim" / name
    assert link.is_symlink(), f"repair: git config core.symlinks true; rm cim/{name}; git checkout -- cim/{name}"
    assert link.resolve() == (ROOT / name).resolve()
    assert not link.readlink().is_absolute(), f"cim/{name} must be a relative link, or a clone points into another checkout"


@pytest.mark.parametrize("name", TOP_FOLDERS)
def test_folder_refuses_to_be_imported_as_a_bare_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=rf"imported as cim\.{name}"):
        importlib.import_module(name)


def test_packages_list_names_every_folder_and_no_other() -> None:
    stated = PROJECT["tool"]["setuptools"]["packages"]
    assert stated == sorted(stated), "keep [tool.setuptools] packages sorted"
    assert set(stated) == set(package_folders())


def test_no_module_lies_in_a_folder_without_init() -> None:
    packages = set(package_folders().values())
    for top in ("cim", *TOP_FOLDERS):
        strays = [path for path in (ROOT / top).rglob("*.py") if path.parent not in packages and not is_below_link(path)]
        assert strays == []


def is_below_link(path: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent != ROOT and ROOT in parent.parents)


def test_version_is_the_same_everywhere() -> None:
    version = PROJECT["project"]["version"]
    cim = importlib.import_module("cim")
    assert cim.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("group", "name", "target"), ENTRY_POINTS, ids=[f"{group}:{name}" for group, name, _ in ENTRY_POINTS])
def test_entry_point_names_an_object_that_exists(group: str, name: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    assert module_file(module) is not None, f"{group} {name}: there is no module {module}"
    assert hasattr(importlib.import_module(module), attribute), f"{group} {name}: {module} has no {attribute}"


def test_entry_point_groups_are_the_ones_that_are_looked_up() -> None:
    groups = importlib.import_module("cim.plugins").GROUPS
    assert set(PROJECT["project"]["entry-points"]) <= set(groups)


def test_every_library_imported_is_declared() -> None:
    declared = requirement_names(PROJECT["project"]["dependencies"])
    for extra, lines in PROJECT["project"]["optional-dependencies"].items():
        declared |= requirement_names(lines) if extra != "all" else set()
    distributions = packages_distributions()
    undeclared = set()
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"cim"}:
                owners = {re.sub(r"[-_.]+", "-", owner).lower() for owner in distributions.get(top, [top])}
                if not owners & declared:
                    undeclared.add(f"{path.relative_to(ROOT)} imports {top}")
    assert undeclared == set()


def test_extra_all_holds_every_other_extra() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    (line,) = extras.pop("all")
    assert requirement_names([line]) - {"cim-toolkit"} == set(extras)


def test_lock_has_a_hash_for_every_package_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE), "no option but hashes: an index or folder of one machine"
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(blocks) > 50  # the tool set has more than a hundred packages
    assert [block.partition(" ")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_lock_holds_every_requirement() -> None:
    locked = {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)}
    wanted = requirement_names(PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"])
    for extra, lines in PROJECT["project"]["optional-dependencies"].items():
        wanted |= requirement_names(lines) if extra != "all" else set()
    assert wanted - locked == set(), "run: make lock"
