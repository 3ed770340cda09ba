"""Small faults that could be made in a module: other operators, other numbers, conditions turned round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
COMBINED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.Mod: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.MatMult: "+",
}
#: Calls whose opposite is a plausible slip.
OPPOSITE = {"any": "all", "all": "any", "min": "max", "max": "min", "isna": "notna", "notna": "isna", "sum": "max"}


@dataclass(frozen=True)
class Mutant:
    """One fault: where it stands, what stood there, what stands there now, and the whole changed text."""

    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.line}: {self.before} -> {self.after}"


def mutants(source: str) -> list[Mutant]:
    """Every fault of every kind, in order of place."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    whole = source.encode()

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    made = []
    for begin, end, after, line in sorted(_edits(ast.parse(source), at)):
        text = whole[begin:end].decode()
        changed = (whole[:begin] + after.encode() + whole[end:]).decode()
        if text.strip() != after.strip() and _compiles(changed):
            made.append(Mutant(line, " ".join(text.split()), after, changed))
    return made


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _edits(tree: ast.AST, at) -> Iterator[tuple[int, int, str, int]]:
    for node in _live(tree):
        span = (at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)) if _placed(node) else None
        if isinstance(node, ast.Compare):
            yield from _between(node.left, node.ops, node.comparators, COMPARED, at)
        elif isinstance(node, ast.BinOp) and type(node.op) in COMBINED:
            yield from _between(node.left, [node.op], [node.right], {type(node.op): (COMBINED[type(node.op)],)}, at)
        elif isinstance(node, ast.BoolOp):
            other = "or" if isinstance(node.op, ast.And) else "and"
            begin = at(node.values[0].end_lineno, node.values[0].end_col_offset)
            yield begin, at(node.values[1].lineno, node.values[1].col_offset), f" {other} ", node.lineno
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert | ast.USub):
            yield span[0], at(node.operand.lineno, node.operand.col_offset), "", node.lineno
        elif isinstance(node, ast.Constant):
            yield from ((*span, after, node.lineno) for after in _constants(node.value))
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            test = node.test
            ends = at(test.lineno, test.col_offset), at(test.end_lineno, test.end_col_offset)
            yield from ((*ends, word, test.lineno) for word in ("True", "False"))
        elif isinstance(node, ast.Return) and node.value is not None:
            yield at(node.value.lineno, node.value.col_offset), span[1], "None", node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in OPPOSITE:
            yield span[1] - len(node.attr), span[1], OPPOSITE[node.attr], node.end_lineno
        elif isinstance(node, ast.Expr | ast.AugAssign) or (isinstance(node, ast.Assign) and _in_place(node)):
            yield *span, "pass", node.lineno


def _in_place(node: ast.Assign) -> bool:
    """An assignment to a part of something: leaving it out is a fault that nothing else reports."""
    return all(isinstance(t, ast.Subscript | ast.Attribute) for t in node.targets)


def _live(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run: no docstrings, annotations, imports or `__all__`."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params", "decorator_list"):
                continue
            children = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, ast.AST)]
            stack += [c for c in children if not _silent(c)]


def _silent(node: ast.AST) -> bool:
    words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    listed = isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets)
    typing = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    error = isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert)  # wording is not behaviour
    return words or listed or typing or error or isinstance(node, ast.Import | ast.ImportFrom)


def _placed(node: ast.AST) -> bool:
    return getattr(node, "lineno", None) is not None


def _between(left: ast.expr, operators: list, rights: list, table: dict, at) -> Iterator[tuple[int, int, str, int]]:
    for before, operator, after in zip([left, *rights], operators, rights, strict=False):
        begin = at(before.end_lineno, before.end_col_offset)
        end = at(after.lineno, after.col_offset)
        yield from ((begin, end, f" {word} ", after.lineno) for word in table[type(operator)])


def _constants(value: object) -> list[str]:
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int | float):
        return [repr(value + 1)]
    if isinstance(value, str) and value:
        return [repr("xx" + value)]
    return []
