"""The documentation builds without a warning, needs no network, and shows only pictures that are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
LARGEST = 3_000_000  # byte: a page that is cloned with the checkout
ELSEWHERE = re.compile(r"""(?:src|href)=["']https?://|@import\s|url\(\s*["']?https?:""")


@pytest.mark.heavy
def test_the_documentation_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr[-4000:]
    scripts = [
        tag for page in (tmp_path / "html").rglob("*.html") for tag in re.findall(r"<(?:script|link|img)[^>]*>", page.read_text("utf-8"))
    ]
    assert scripts
    assert [tag for tag in scripts if ELSEWHERE.search(tag)] == []
    assert (tmp_path / "html" / "demo" / "index.html").is_file()


def test_the_scene_to_click_on_is_one_small_file_that_fetches_nothing() -> None:
    page = (DOCS / "demo" / "index.html").read_text(encoding="utf-8")
    assert 500_000 < len(page.encode()) < LARGEST
    assert not ELSEWHERE.search(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_picture_and_page_that_is_linked_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ["index.md", "gallery.md"])
def test_every_picture_says_in_words_what_it_shows(page: str) -> None:
    words = re.findall(r"!\[([^\]]*)\]", (DOCS / page).read_text(encoding="utf-8"))
    assert words
    assert all(len(text) > 20 for text in words)


def test_the_picture_of_the_architecture_is_the_one_its_script_draws(tmp_path: Path) -> None:
    code = (
        f"import make_figures as m; from pathlib import Path; Path({str(tmp_path / 'a.svg')!r}).write_text(m.picture(), encoding='utf-8')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=DOCS)
    assert (tmp_path / "a.svg").read_bytes() == (DOCS / "images" / "architecture.svg").read_bytes()
