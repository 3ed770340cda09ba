"""Fixtures that several rooms need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Browser
from figures import Figures
from hypothesis import settings

if TYPE_CHECKING:
    from flowanalysis.tenant import Tenant

ROOT = Path(__file__).resolve().parents[1]
CORPUS = Path(os.environ.get("FLOWANALYSIS_CORPUS", ROOT.parent / "shared" / "corpus"))
THOROUGH = bool(os.environ.get("FLOWANALYSIS_THOROUGH"))  # every repetition, not only some of each kind


# A busy machine is no defect, and a failure must fail again: no deadline an example, the same examples in every run.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Count the claims of figures.toml; a run of everything prints them."""
    if not any(type(p).__name__ == "Figures" for p in config.pluginmanager.get_plugins()):
        config.pluginmanager.register(Figures(), "figures")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """No other process for the tests of one file: they begin sooner, and print and stop at a breakpoint as usual."""
    files = {str(given).partition("::")[0] for given in config.option.file_or_dir}
    if len(files) == 1 and not Path(*files).is_dir():
        return 0
    # Each process has a core: libraries that take all of them for one sum would only wait for one another.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return None


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of real exports that others wrote; never part of this project."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus of real exports at {CORPUS} (set FLOWANALYSIS_CORPUS)")
    return CORPUS


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def months(root: Path) -> dict[str, Tenant]:
    """The demo by month, loaded once; what an analysis remembers of it serves all tests."""
    from flowanalysis import load  # here, so that a run of other tests begins without it

    return {month: load(root / "data" / "demo" / month) for month in ("2026-09", "2026-10")}


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real browser; tests that need it are skipped where there is none."""
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("no chromium with chromedriver on this machine")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
