"""A changed text of a module in place of its own: at import, or under functions that others have imported already."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("__wrapped__", "fget", "__func__", "func")  # where decorators, properties and methods keep a function


def path_of(module: str) -> Path:
    """File of a module of the package."""
    return ROOT / "flowanalysis" / (module.replace(".", "/") + ".py")


class Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module of the package from a changed text."""

    def __init__(self, module: str, source: str) -> None:
        super().__init__(f"flowanalysis.{module}", str(path_of(module)))
        self.changed = source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname):
        return compile(self.changed, self.path, "exec")


def in_function(source: str, line: int) -> bool:
    """Whether a line stands in the body of a function; any other runs at import."""
    return any(
        node.body[0].lineno <= line <= node.end_lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    )


def own_names(module: str, source: str, line: int) -> list[str]:
    """All constants of a module, for a fault in one of them; none when other modules hold that one by its name."""
    loaded = sys.modules[f"flowanalysis.{module}"]
    others = [vars(m) for m in list(sys.modules.values()) if m is not loaded and hasattr(m, "__dict__")]
    here, known = [], []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [t.id for t in targets if isinstance(t, ast.Name)]
        known += names  # what is computed from a constant changes with it
        here += names if node.lineno <= line <= node.end_lineno else []
    shared = any(other.get(name) is getattr(loaded, name, None) for name in here for other in others)
    return known if here and not shared else []


def swap(module: str, source: str, names: Iterable[str] = ()) -> None:
    """Give every function of a loaded module, and these names, what they are in a changed text."""
    loaded = sys.modules[f"flowanalysis.{module}"]
    other = types.ModuleType(loaded.__name__)
    sys.modules[loaded.__name__] = other  # dataclasses look themselves up
    exec(compile(source, loaded.__file__, "exec"), other.__dict__)
    sys.modules[loaded.__name__] = loaded
    forget(module)
    theirs = dict(_functions(vars(other), loaded.__name__))
    for name, function in _functions(vars(loaded), loaded.__name__):
        if function.__code__.co_filename == loaded.__file__:  # a dataclass writes some of its own
            function.__code__ = theirs[name].__code__
    vars(loaded).update({name: vars(other)[name] for name in names})


def _functions(space: dict, module: str) -> Iterator[tuple[str, types.FunctionType]]:
    for value in list(space.values()):
        if isinstance(value, type):
            if value.__module__ == module:
                yield from _functions(dict(vars(value)), module)
        elif (function := _bare(value)) and function.__module__ == module:
            yield function.__qualname__, function


def forget(module: str) -> None:
    """Drop what functions of a module remember, or only the first test that asks them would pass over their lines."""
    for value in list(vars(sys.modules[f"flowanalysis.{module}"]).values()):
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def _bare(value: object) -> types.FunctionType | None:
    """The function itself, whatever is around it."""
    while hasattr(value, "__wrapped__") or not isinstance(value, types.FunctionType):
        inner = [getattr(value, part) for part in PARTS if hasattr(value, part)]
        if not inner or not (callable(value) or isinstance(value, property)):
            return None
        value = inner[0]
    return value
