"""What the analyses of access stand on: who matters, what they reach, how much of the data was collected.

Everything here is a pure function of a tenant; results that several analyses need are kept for as long as
the tenant lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis import matrices
from flowanalysis.analysis import kernels
from flowanalysis.codes import LEVELS, OWNER_ROLES, Codes, Names
from flowanalysis.errors import UnknownName
from flowanalysis.matrices import Matrix
from flowanalysis.remember import once
from flowanalysis.schema import TEXT
from flowanalysis.tenant import Tenant

Answer = TypeVar("Answer")
_KEPT: WeakKeyDictionary[Tenant, dict[str, Any]] = WeakKeyDictionary()


def kept(work: Callable[[Tenant], Answer]) -> Callable[[Tenant], Answer]:
    """Do the work once for each tenant."""

    @wraps(work)
    def remembered(tenant: Tenant) -> Answer:
        return once(tenant, _KEPT.setdefault(tenant, {}), work.__qualname__, lambda: work(tenant))

    return remembered


def at_hand(work: Callable[[Tenant], Answer], tenant: Tenant) -> Answer | None:
    """What `kept` work has found already; None where it was not done yet."""
    return _KEPT.get(tenant, {}).get(work.__qualname__)


@dataclass(frozen=True, eq=False)
class Ways:
    """Over whom some principals come to rights.

    Attributes
    ----------
    principals : ndarray of int
        Codes of the principals, ascending: row i of the matrices is ``principals[i]``.
    ways : matrix, rows x principals
        The principal itself and every group it is in, at any depth.
    place : ndarray of int, one for each principal
        Row of a principal; -1 when it has none.
    """

    principals: np.ndarray
    ways: Matrix
    place: np.ndarray


@dataclass(frozen=True, eq=False)
class Reach(Ways):
    """Effective levels of some principals.

    Attributes
    ----------
    levels : matrix, rows x resources
        Highest level over all ways: read 1 to full 4.
    """

    levels: Matrix


def ways(codes: Codes, principals: np.ndarray) -> Ways:
    """Principals and the groups they are in, through groups in groups."""
    principals = np.unique(principals[principals >= 0])
    shape = (len(principals), len(codes.principals))
    begin = matrices.relation(np.arange(shape[0], dtype=np.int32), principals, 1, shape)
    place = np.full(shape[1], -1, np.int32)
    place[principals] = np.arange(shape[0], dtype=np.int32)
    onward = kernels.reached if kernels.worth(begin.nnz + codes.member.nnz) else matrices.reached
    return Ways(principals, onward(begin, codes.member), place)


def reach(codes: Codes, principals: np.ndarray) -> Reach:
    """Effective levels of principals, through groups in groups and containers of resources."""
    found = ways(codes, principals)
    work = np.diff(codes.granted.indptr)[found.ways.indices].sum()
    strongest = kernels.strongest if kernels.worth(work) else matrices.strongest
    return Reach(found.principals, found.ways, found.place, strongest(found.ways, codes.granted))


def accounts(codes: Codes) -> np.ndarray:
    """Codes of the accounts behind connections and flows, ascending."""
    return np.union1d(codes.signs_in.indices, codes.runs_as.indices)


def editors(codes: Codes) -> Matrix:
    """Flow x principal: who can edit a flow and so use every connection in it (owners and co-owners)."""
    return matrices.at_least(codes.owns, OWNER_ROLES["CanEdit"])


@kept
def main_reach(tenant: Tenant) -> Reach:
    """Reach of the identities that matter: accounts behind connections, and whoever can edit a flow."""
    codes = tenant.codes
    return reach(codes, np.union1d(accounts(codes), editors(codes).indices))


@kept
def weights(tenant: Tenant) -> np.ndarray:
    """Weight of one right on each resource: its sensitivity, 1 where none is told."""
    rows = tenant.resources
    weight = np.ones(len(tenant.codes.resources))
    known = rows["sensitivity"].notna().to_numpy()
    weight[tenant.codes.resources.codes(rows.loc[known, "resource_id"])] = rows.loc[known, "sensitivity"]
    return weight


@kept
def resource_kinds(tenant: Tenant) -> pd.Categorical:
    """Kind of each resource by code: as the resources table tells, else grants, else needs; NA when none does.

    A table is read only where those before it leave something open: grants are many.
    """
    kinds = pd.Series(pd.NA, range(len(tenant.codes.resources)), TEXT)
    tables = (
        ("resources", "resource_id", "kind"),
        ("grants", "resource_id", "resource_kind"),
        ("needs", "resource", "resource_kind"),
    )
    for table, key, kind in tables:
        if kinds.isna().any():
            kinds = kinds.fillna(_kinds_told(tenant, tenant[table][key], tenant[table][kind]))
    return Names.of([kinds]).category(Names.of([kinds]).codes(kinds))


def _kinds_told(tenant: Tenant, key: pd.Series, kind: pd.Series) -> pd.Series:
    """Kind of each resource by code as one table tells it; of several the first by name, whatever the order of rows."""
    names, codes = Names.of([kind]), tenant.codes.resources.codes(key)
    told, none = names.codes(kind), len(names)
    first = np.full(len(tenant.codes.resources), none, np.int32)
    known = (told >= 0) & (codes >= 0)
    np.minimum.at(first, codes[known], told[known])
    return pd.Series(names.text(np.where(first < none, first, -1)))


def kinds_at(tenant: Tenant, resources: np.ndarray) -> pd.Categorical:
    """Kinds of resources by code, without the care that pandas takes for each row."""
    kinds = resource_kinds(tenant)
    return pd.Categorical.from_codes(kinds.codes[resources], dtype=kinds.dtype, validate=False)


def level_names(levels: np.ndarray) -> pd.Categorical:
    """Levels as an ordered categorical: none < read < write < owner < full."""
    return pd.Categorical.from_codes(levels, categories=pd.Index(LEVELS, dtype=TEXT), ordered=True, validate=False)


def who(tenant: Tenant, names: str | Iterable[str]) -> np.ndarray:
    """Codes of identities or groups that are named by id, user principal name or mail address.

    Raises
    ------
    UnknownName
        For a name that nothing has, with the nearest that exist.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    return np.array([_principal(tenant, str(name)) for name in wanted], dtype=np.int32)


def _principal(tenant: Tenant, name: str) -> int:
    code = tenant.codes.principals.code(name.lower())
    if code >= 0:
        return code
    known = tenant.identities[["identity_id", "upn", "mail"]]
    for column in ("upn", "mail"):
        same = (known[column].str.lower() == name.lower()).fillna(False).to_numpy(bool)
        if same.any():
            return tenant.codes.principals.code(known.loc[same, "identity_id"].iloc[0])
    near = known["upn"][(known["upn"].str[:2].str.lower() == name[:2].lower()).fillna(False)]
    # Comparing names costs time for each: those that begin alike are few, and the typing error is rarely in front.
    raise UnknownName("identity or group", name, near.head(2_000).tolist(), remedy="Give an object id or a UPN.")


def covered(
    frame: pd.DataFrame, tenant: Tenant, tables: Mapping[str, str], *, essential: Iterable[str] = ()
) -> pd.DataFrame:
    """Say on the frame what was not collected, so that its silence is not read as an answer.

    Parameters
    ----------
    frame : DataFrame
        A result; ``attrs["coverage"]`` is set.
    tables : mapping of str to str
        Table to what is not seen without it.
    essential : iterable of str
        Tables without which there is no answer at all.

    Returns
    -------
    DataFrame
        The same frame. ``attrs["coverage"]`` holds answer (full | partly | none), missing (tables) and
        notes (what is not seen, in words).
    """
    missing = [t for t in tables if not tenant.has(t)]
    none = any(t in missing for t in essential)
    answer = "none" if none else "partly" if missing else "full"
    frame.attrs["coverage"] = {
        "answer": answer,
        "missing": missing,
        "notes": [f"{t} not collected: {tables[t]}" for t in missing],
    }
    return frame


def blank(size: int) -> pd.api.extensions.ExtensionArray:
    """A column of text that says nothing, in no memory to speak of."""
    piece = pa.nulls(min(size, 1 << 16), pa.large_string())
    pieces = [piece] * (size >> 16) + [piece.slice(0, size & 0xFFFF)]
    return TEXT.__from_arrow__(pa.chunked_array(pieces))


def tidy(columns: Mapping[str, object], *, by: Iterable[str] = ()) -> pd.DataFrame:
    """A frame of columns, text Arrow-backed, sorted by columns and numbered from 0."""
    frame = pd.DataFrame(dict(columns))
    for name in frame.select_dtypes([object, "str"]):
        frame[name] = frame[name].astype(TEXT)
    order = list(by)
    return frame.sort_values(order, kind="stable", ignore_index=True) if order else frame
