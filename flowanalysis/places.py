"""Where things lie: the checkout or, in an installed wheel, what was shipped inside it."""

from __future__ import annotations

from pathlib import Path

from flowanalysis.errors import UnknownName

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
SHIPPED = PACKAGE / "_shipped"


def _here_or_shipped(relative: str, shipped: str) -> Path:
    place = CHECKOUT / relative
    return place if place.is_dir() and (CHECKOUT / "pyproject.toml").is_file() else SHIPPED / shipped


def notebooks() -> Path:
    """Folder of the notebooks as they came; never written to."""
    return _here_or_shipped("notebooks", "notebooks")


def demo() -> Path:
    """Folder of the demo tenant's exports, one folder a month."""
    return _here_or_shipped("data/demo", "demo")


def place(text: str | Path) -> Path:
    """A file or folder as typed: absolute, from here, from the checkout, or a part of the demo.

    Notebooks run in the folder of the caller or in their own; a relative place means the same in both.

    Raises
    ------
    UnknownName
        When nothing lies there.
    """
    asked = Path(text).expanduser()
    demo_part = asked.parts[2:] if asked.parts[:2] == ("data", "demo") else None
    candidates = [asked] if asked.is_absolute() else [Path.cwd() / asked, CHECKOUT / asked]
    if demo_part is not None:
        candidates.append(demo().joinpath(*demo_part))
    for candidate in candidates:
        if candidate.exists():
            return candidate
    months = [f"data/demo/{p.name}" for p in sorted(demo().glob("*-*"))]
    raise UnknownName("place", str(text), months, remedy="Name a folder or file of exports, or a snapshot.")
