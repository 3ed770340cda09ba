"""Drift: what changed between two months, in rights, owners, connections and flows; and what creeps up over many.

`drift` tells the changes in the words of the domain, `rights_drift` what accounts reach more or less in effect (over
groups and containers), `creep` the same month by month. `changes` and `apply` are the exact comparison underneath.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from flowanalysis import matrices
from flowanalysis.analysis.alignment import levels_at
from flowanalysis.analysis.changes import apply, changes
from flowanalysis.analysis.paths import labels
from flowanalysis.analysis.reach import Reach, accounts, covered, level_names, reach, weights
from flowanalysis.codes import Names
from flowanalysis.schema import COUNT, TEXT
from flowanalysis.tenant import Tenant

# Table -> what is told, subject, object, value; a blank column name is none.
TOLD = {
    "grants": ("right", "principal_id", "resource_id", "level"),
    "memberships": ("membership", "member_id", "group_id", "relation"),
    "role_assignments": ("directory_role", "principal_id", "role_id", "state"),
    "app_permissions": ("app_permission", "client_id", "permission", "kind"),
    "environment_roles": ("environment_role", "principal_id", "environment_id", "role"),
    "licences": ("licence", "identity_id", "sku_id", ""),
    "flow_owners": ("owner", "principal_id", "flow_id", "role"),
    "connection_shares": ("share", "principal_id", "connection_id", "role"),
    "connections": ("connection", "connection_id", "", "account_name"),
    "connection_references": ("connection_reference", "reference_name", "", "connection_id"),
    "flow_connections": ("flow_connection", "flow_id", "alias", "connection_id"),
    "flows": ("flow", "flow_id", "", "state"),
    "identities": ("identity", "identity_id", "", "status"),
}
COLUMNS = ["what", "change", "subject_id", "object_id", "environment_id", "before", "after", "columns", "sentence"]
VOLATILE = (
    "last_signin_at",
    "last_noninteractive_signin_at",
    "last_successful_signin_at",
    "last_run_at",
    "token_expires_at",
)
# A connection is modified whenever its token is renewed; for everything else that time tells of a hand.
RENEWED = {"connections": ("modified_at",)}


def drift(before: Tenant, after: Tenant) -> pd.DataFrame:
    """What changed between two states of a tenant.

    Returns
    -------
    DataFrame
        One row for each change: what (right | owner | flow | connection | …), change (gained | lost | raised | lowered
        for rights; gained | lost | changed for the rest), subject_id (who or what it is about), object_id (on what;
        NA for flows, connections and identities themselves), environment_id, before and after (level, role, state,
        account), columns (names of the columns that changed, separated by blanks), sentence. A right counts by the
        highest level that the principal itself is granted. Tables that only one of the two collected are left out:
        ``attrs["coverage"]`` names them. Times of the last sign-in, the last run and the token's end are no changes.
    """
    both = [t for t in TOLD if before.has(t) and after.has(t)]
    found = changes(before, after, both)
    parts = [_rights(before, after, found["grants"])] if "grants" in found else []
    parts += [_told(table, rows) for table, rows in found.items() if table != "grants"]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS[:-1], dtype=TEXT)
    rows = rows.sort_values(
        ["what", "subject_id", "object_id", "environment_id", "change"], kind="stable", ignore_index=True
    )
    rows["sentence"] = _sentences(before, after, rows)
    notes = {
        t: f"changes of {TOLD[t][0].replace('_', ' ')}s are not seen, since not both states have them" for t in TOLD
    }
    whole = covered(rows[COLUMNS], after, notes)
    return covered(whole, before, notes) if set(before.collected) < set(after.collected) else whole


def _rights(before: Tenant, after: Tenant, rows: pd.DataFrame) -> pd.DataFrame:
    """Grants as rights: the highest level before and after of each pair that some row touches."""
    pairs = rows[["principal_id", "resource_id"]].drop_duplicates(ignore_index=True)
    old, new = (
        levels_at(
            t.codes.held, t.codes.principals.codes(pairs["principal_id"]), t.codes.resources.codes(pairs["resource_id"])
        )
        for t in (before, after)
    )
    moved = old != new
    return pd.DataFrame(
        {
            "what": pd.array(["right"] * len(pairs), dtype=TEXT),
            "change": change_words(old, new),
            "subject_id": pairs["principal_id"],
            "object_id": pairs["resource_id"],
            "environment_id": pd.array([pd.NA] * len(pairs), dtype=TEXT),
            "before": pd.Series(level_names(np.where(old > 0, old, -1))).astype(TEXT),
            "after": pd.Series(level_names(np.where(new > 0, new, -1))).astype(TEXT),
            "columns": pd.array(["level"] * len(pairs), dtype=TEXT),
        }
    )[moved]


def change_words(old: np.ndarray, new: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Levels before and after in a word."""
    words = np.select([old == 0, new == 0, new > old], ["gained", "lost", "raised"], default="lowered")
    return pd.array(words, dtype=TEXT)


def _told(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Changed rows of a table in the words of the domain; old and new values of one key side by side."""
    what, subject, thing, value = TOLD[table]
    names = [c for c in rows.columns if c not in (*VOLATILE, *RENEWED.get(table, ()), "change")]
    keys = [c for c in (subject, thing, "environment_id") if c and c in rows and c != value]
    keys = list(dict.fromkeys(keys))
    rows = rows.drop_duplicates([*names, "change"])
    removed, added = (_numbered(rows[rows["change"] == word], keys) for word in ("removed", "added"))
    both = removed.merge(added, on=[*keys, "_copy"], how="outer", suffixes=("_before", "_after"), indicator=True)
    pick = (lambda c, side: both[c] if c in keys else both[f"{c}_{side}"]) if value else None
    sides = both["_merge"].map({"left_only": "lost", "right_only": "gained", "both": "changed"})
    differ = [c for c in names if c not in keys]
    moved = {c: _unequal(both[f"{c}_before"], both[f"{c}_after"]) for c in differ}
    columns = np.full(len(both), "", dtype=object)
    for name, flags in moved.items():
        columns = np.where(flags, columns + " " + name, columns)
    frame = pd.DataFrame(
        {
            "what": what,
            "change": sides.astype(TEXT),
            "subject_id": both[subject] if subject in keys else pd.NA,
            "object_id": both[thing] if thing else pd.NA,
            "environment_id": both["environment_id"] if "environment_id" in keys else pd.NA,
            "before": pick(value, "before") if pick else pd.NA,
            "after": pick(value, "after") if pick else pd.NA,
            "columns": pd.Series(columns).str.strip(),
        }
    ).astype(TEXT)
    frame.loc[frame["change"] != "changed", "columns"] = pd.NA
    return frame[(frame["change"] != "changed") | (frame["columns"] != "")]


def _numbered(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows with a number within their key, so that the first old one meets the first new one."""
    rows = rows.drop(columns="change").sort_values(list(rows.columns.drop("change")), kind="stable", na_position="last")
    return rows.assign(_copy=rows.groupby(keys, dropna=False).cumcount())


def _unequal(old: pd.Series, new: pd.Series) -> np.ndarray:
    same = (old == new).fillna(False) | (old.isna() & new.isna())
    return ~same.to_numpy(bool)


def _sentences(before: Tenant, after: Tenant, rows: pd.DataFrame) -> pd.Series:
    """Each change in words, people by name."""
    names = rows["subject_id"].copy()
    for tenant in (before, after):
        codes = tenant.codes.principals.codes(rows["subject_id"])
        names[codes >= 0] = labels(tenant).array.take(codes[codes >= 0])
    thing = " on " + rows["object_id"]
    how = rows["change"] + " " + rows["what"].str.replace("_", " ")
    values = ": " + rows["before"].fillna("nothing") + " → " + rows["after"].fillna("nothing")
    values = values.where(rows["before"].notna() | rows["after"].notna(), "")
    other = " in " + rows["columns"].str.replace(" ", ", ").str.replace("_", " ")
    values = values.where((rows["before"] != rows["after"]).fillna(True), other.fillna(""))
    return (names + " " + how + thing.fillna("") + values + ".").astype(TEXT)


def rights_drift(before: Tenant, after: Tenant, *, everybody: bool = False) -> pd.DataFrame:
    """What accounts behind flows reach more or less, in effect: over groups in groups and containers.

    Parameters
    ----------
    before, after : Tenant
        Two states of one tenant.
    everybody : bool
        All principals instead of the accounts behind connections and flows of either state.

    Returns
    -------
    DataFrame
        account_id, resource_id, before, after (none < read < write < owner < full), change (gained | lost | raised |
        lowered), sorted.
    """
    principals = Names.of([before.codes.principals.values, after.codes.principals.values])
    resources = Names.of([before.codes.resources.values, after.codes.resources.values])
    wanted = np.unique(np.concatenate([_subjects(t, principals, everybody=everybody) for t in (before, after)]))
    old, new = (_entries(_reach_of(t, principals, wanted), t, principals, resources) for t in (before, after))
    keys = np.union1d(old[0], new[0])
    levels = [_looked_up(keys, *side) for side in (old, new)]
    moved = levels[0] != levels[1]
    keys, levels = keys[moved], [level[moved] for level in levels]
    frame = pd.DataFrame(
        {
            "account_id": principals.text(keys // max(len(resources), 1)),
            "resource_id": resources.text(keys % max(len(resources), 1)),
            "before": level_names(levels[0]),
            "after": level_names(levels[1]),
            "change": change_words(*levels),
        }
    )
    notes = {"grants": "no right on a resource is seen", "memberships": "rights through groups are not seen"}
    return covered(frame, after if before.has(*notes) else before, notes, essential=("grants",))


def _subjects(tenant: Tenant, principals: Names, *, everybody: bool) -> np.ndarray:
    codes = np.arange(len(tenant.codes.principals)) if everybody else accounts(tenant.codes)
    return principals.codes(tenant.codes.principals.text(codes))


def _reach_of(tenant: Tenant, principals: Names, wanted: np.ndarray) -> Reach:
    return reach(tenant.codes, tenant.codes.principals.codes(principals.text(wanted)))


def _entries(found: Reach, tenant: Tenant, principals: Names, resources: Names) -> tuple[np.ndarray, np.ndarray]:
    """Levels as sorted keys and values, in codes that both states share (both lists are alphabetical)."""
    person = principals.codes(tenant.codes.principals.text(found.principals)).astype(np.int64)
    thing = resources.codes(tenant.codes.resources.values)
    return person[matrices.row_of(found.levels)] * max(len(resources), 1) + thing[
        found.levels.indices
    ], found.levels.data


def _looked_up(keys: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    result = np.zeros(len(keys), np.int8)
    result[np.searchsorted(keys, known)] = values
    return result


def creep(tenants: Iterable[Tenant]) -> pd.DataFrame:
    """Rights of the accounts behind flows, month by month.

    Parameters
    ----------
    tenants : iterable of Tenant
        States of one tenant, oldest first; two are held at a time.

    Returns
    -------
    DataFrame
        One row for each month and account: month, account_id, rights (resources reached), weight (sum of their
        sensitivities), gained, lost, raised, lowered (against the month before; NA in the first), since_first (rights
        now less rights in the first month in which the account is seen), creeping (rights grew in every month seen,
        three or more).
    """
    rows: list[pd.DataFrame] = []
    previous: Tenant | None = None
    for tenant in tenants:
        rows.append(_month(tenant, previous))
        previous = tenant
    if previous is None:
        return _month(Tenant({}), None).assign(since_first=pd.array([], COUNT), creeping=pd.array([], "boolean"))
    frame = pd.concat(rows, ignore_index=True)
    by = frame.groupby("account_id", sort=False)["rights"]
    frame["since_first"] = (frame["rights"] - by.transform("first")).astype(COUNT)
    steps = by.diff()
    grew = (steps > 0) | steps.isna()
    seen = by.cumcount() + 1
    frame["creeping"] = (grew.groupby(frame["account_id"]).cummin() & (seen >= 3)).astype("boolean")
    return covered(frame, previous, {"grants": "no right on a resource is seen"}, essential=("grants",))


def _month(tenant: Tenant, previous: Tenant | None) -> pd.DataFrame:
    found = reach(tenant.codes, accounts(tenant.codes))
    weight = np.concatenate([[0.0], np.cumsum(weights(tenant)[found.levels.indices])])[found.levels.indptr]
    frame = pd.DataFrame(
        {
            "month": pd.array([tenant.month] * len(found.principals), dtype=TEXT),
            "account_id": tenant.codes.principals.text(found.principals),
            "rights": pd.array(np.diff(found.levels.indptr), dtype=COUNT),
            "weight": np.diff(weight),
        }
    )
    moves = rights_drift(previous, tenant) if previous is not None else None
    for word in ("gained", "lost", "raised", "lowered"):
        if moves is None:
            frame[word] = pd.array([pd.NA] * len(frame), dtype=COUNT)
        else:
            counts = moves.loc[moves["change"] == word, "account_id"].value_counts()
            frame[word] = frame["account_id"].map(counts).fillna(0).astype(COUNT)
    return frame


__all__ = ["apply", "changes", "creep", "drift", "rights_drift"]
