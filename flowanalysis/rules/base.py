"""What a rule is: an id, words for people, the tables it cannot do without, and one function that returns rows.

A row is one piece of evidence together with the finding it belongs to; rows with the same key make one
finding. Rules never count, rank or name: `flowanalysis.findings` does that for all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from flowanalysis.rules.context import Context
from flowanalysis.schema import COUNT, FLAG, TEXT

__all__ = ["EVIDENCE", "KEY", "Rule", "no_rows", "rows"]

#: Columns that make a finding what it is; its id is computed from them alone.
KEY = ["subject_kind", "subject_id", "environment_id", "flow_id", "account_id"]
#: Words of a finding; where a row has none, the rule's own are used.
WORDS = ["subject_name", "title", "advice", "impact"]
#: Columns of a piece of evidence.
EVIDENCE = ["table", "at_environment_id", "at_flow_id", "step", "connection_id", "principal_id", "resource", "fact"]
TEXTS = [*KEY, *WORDS, *EVIDENCE]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    id : str
        Such as ``OWN-1``; also the table of its thresholds in the policy.
    title, impact, advice : str
        What is the matter, what it does to flows, what to do; ``{flows}`` stands for the running flows at stake.
    subject : str
        Kind of thing the finding is about: flow, connection, account, right or person.
    needs, helps : tuple of str
        Tables without which it cannot be answered, and tables without which the answer is partial.
    find : function
        Context to rows.
    previous : bool
        True when it compares with the month before.
    """

    id: str
    title: str
    impact: str
    advice: str
    subject: str
    needs: tuple[str, ...]
    helps: tuple[str, ...]
    find: Callable[[Context], pd.DataFrame]
    previous: bool = False


def rows(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """Rows of a rule from a frame of cases.

    Parameters
    ----------
    frame : DataFrame
        One case a row; its index gives the length.
    **columns : Series, array or scalar
        Columns of `KEY`, `WORDS` and `EVIDENCE`, and ``partial`` (flag) and ``reach`` (running flows at
        stake where the evidence does not name them). For a flow, ``environment_id`` and ``flow_id`` are
        taken from the frame.
    """
    if columns.get("subject_kind") == "flow":
        here = {"environment_id": frame["environment_id"], "flow_id": frame["flow_id"], "subject_id": frame["flow_id"]}
        columns = here | {"at_environment_id": here["environment_id"], "at_flow_id": here["flow_id"]} | columns
    strange = set(columns) - {*TEXTS, "partial", "reach"}
    if strange:
        raise TypeError(f"rows have no column {sorted(strange)[0]!r}")
    made = {c: _column(columns.get(c, pd.NA), frame.index, TEXT) for c in TEXTS}
    made["partial"] = _column(columns.get("partial", False), frame.index, FLAG)
    made["reach"] = _column(columns.get("reach", 0), frame.index, COUNT)
    return pd.DataFrame(made)


def no_rows() -> pd.DataFrame:
    """No case found."""
    return rows(pd.DataFrame(index=pd.RangeIndex(0)))


def _column(value: object, index: pd.Index, dtype: object) -> pd.arrays.ArrowStringArray:
    if isinstance(value, pd.Series):
        return value.astype(dtype).array
    if isinstance(value, str) or pd.api.types.is_scalar(value):
        return pd.array([value], dtype=dtype).repeat(len(index))
    return pd.array(value, dtype=dtype)
