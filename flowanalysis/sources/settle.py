"""What follows only from several tables together: who owns a flow now, who still exists, what an id is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from flowanalysis import reference, schema
from flowanalysis.definitions.catalogue import UNKNOWN, level_of
from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, chosen, worded
from flowanalysis.sources import holders, sharepoint, variables
from flowanalysis.sources.columns import filled, look, same
from flowanalysis.sources.merge import Merged, Part, certainly_unique, codes, joined
from flowanalysis.sources.values import UNTOLD, among

Frames = dict[str, pd.DataFrame]
# Names of Dataverse's own accounts, which no person signs in to.
SYSTEM_NAMES = {"SYSTEM", "INTEGRATION", "# Dynamics365", "MICROSOFT"}
SYSTEM_IDS = {"system", "00000000-0000-0000-0000-000000000000"}
STATUS = ["unknown", "purged_or_foreign", "absent", "active", "disabled", "deleted", "system"]
PLACE = ["environment_id", "flow_id"]
PERSON_KINDS = {"User": "user", "ServicePrincipal": "service_principal", "Tenant": "tenant"}
# Where principals stand in other tables: table, column of the id, and the column or the word that tells their kind.
REFERRED = (
    ("flow_owners", "principal_id", "principal_kind"),
    ("flows", "owner_id", "=user"),
    ("flows", "creator_id", "=user"),
    ("connections", "created_by_id", "=user"),
    ("connection_shares", "principal_id", "principal_kind"),
    ("environments", "created_by_id", "=user"),
    ("environments", "owner_id", "=user"),
    ("environment_roles", "principal_id", "principal_kind"),
    ("role_assignments", "principal_id", "=unknown"),
    ("app_permissions", "client_id", "=service_principal"),
    ("app_permissions", "principal_id", "=user"),
)
# Columns that may hold a Dataverse user where an identity is meant.
DATAVERSE_IDS = (
    ("flows", "owner_id"),
    ("flows", "creator_id"),
    ("flow_owners", "principal_id"),
    ("environment_roles", "principal_id"),
    ("connection_references", "owner_id"),
    ("memberships", "member_id"),
)


def settled(merged: Mapping[str, Merged], parts: Sequence[Part]) -> Frames:
    """Merged tables with everything that follows from them together.

    Parameters
    ----------
    merged : mapping
        Table to its merge.
    parts : sequence of Part
        What the tables were merged from; tells which listings were complete.

    Returns
    -------
    dict of DataFrame
        New frames; the merged ones stay as they are.
    """
    frames = {name: m.frame for name, m in merged.items()}
    listed = merged["identities"].listed if "identities" in merged else np.zeros(0, dtype=bool)
    for step in (
        _dataverse_users,
        _owners,
        _last_runs,
        _definitions_read,
        _variables,
        _described,
        _roles,
        _permissions,
        _part_numbers,
        partial(_identities, listed=listed, listings=_listings(parts), bin_seen=_bin_seen(parts)),
        _holders,
        _own_organisation,
        sharepoint.placed,
        partial(_once, merged=merged),
    ):
        frames |= step(frames)
    return frames


def _described(frames: Frames) -> Frames:
    """Needs of operations that nobody classed take the right that the connector describes itself."""
    needs, offered = _get(frames, "needs"), _get(frames, "connector_operations")
    blank = needs["right"] == UNKNOWN
    if not len(offered) or not blank.any():
        return {}
    told = offered.assign(operation_id=offered["operation_id"].str.lower())
    told = told.sort_values("right").drop_duplicates(["connector_id", "operation_id"])
    asked = needs[["connector_id", "operation_id"]].assign(operation_id=needs["operation_id"].str.lower())
    right = asked.merge(told, on=["connector_id", "operation_id"], how="left")["right"].set_axis(needs.index)
    right = needs["right"].mask(blank & right.notna(), right)
    levels = right.map({r: level_of(r) for r in right.dropna().unique()}).astype(TEXT)
    settled = needs.assign(right=right, level=needs["level"].mask(right != needs["right"], levels))
    return {"needs": settled.drop_duplicates(list(schema.table("needs").key), ignore_index=True)}


def _once(frames: Frames, *, merged: Mapping[str, Merged]) -> Frames:
    """Rows that became equal when their ids were settled are one; what the flow service tells stays."""
    out = {}
    for name in ("flow_owners", "environment_roles", "memberships", "app_permissions", "grants"):
        frame, key = _get(frames, name), list(schema.table(name).key)
        if name not in merged or all(same(frame[c], merged[name].frame[c]) for c in key):
            continue  # no id changed, and merging left no key twice
        if certainly_unique(frame, key):
            continue
        if name == "flow_owners":
            frame = frame.sort_values("via", key=lambda via: via != "permissions", kind="stable")
        if frame.duplicated(key).any():
            out[name] = frame.drop_duplicates(key).sort_index().reset_index(drop=True)
    return out


def _get(frames: Frames, name: str) -> pd.DataFrame:
    return frames[name] if name in frames else schema.empty(name)


def _dataverse_users(frames: Frames) -> Frames:
    """Dataverse ids become identities wherever an identity is meant."""
    users = _get(frames, "dataverse_users")
    if users.empty:
        return {}
    users = users.assign(identity_id=_identity_of(users, _get(frames, "identities")))
    known = users.dropna(subset=["identity_id", "systemuser_id"]).drop_duplicates("systemuser_id")
    names = known.set_index("systemuser_id")["identity_id"]
    out = {"dataverse_users": users}
    for table, column in DATAVERSE_IDS:
        frame = out.get(table, frames.get(table))
        if frame is None or frame.empty:
            continue
        found = look(frame[column], names)
        changed = {column: found.fillna(frame[column])}
        if column == "creator_id":  # the column says what kind of id stands there
            changed["creator_kind"] = frame["creator_kind"].mask(found.notna(), "ActiveDirectory")
        out[table] = frame.assign(**changed)
    return out


def _identity_of(users: pd.DataFrame, identities: pd.DataFrame) -> pd.Series:
    """The Entra id of Dataverse users: told, else through the application, else through the name."""
    apps = identities.dropna(subset=["app_id"]).drop_duplicates("app_id").set_index("app_id")["identity_id"]
    upns = identities.dropna(subset=["upn"])
    names = upns.assign(upn=upns["upn"].str.lower()).drop_duplicates("upn").set_index("upn")["identity_id"]
    found = users["identity_id"]
    for column, known in ((users["application_id"], apps), (users["upn"].str.lower(), names)):
        found = found.fillna(look(column, known))
    return found


def _owners(frames: Frames) -> Frames:
    """Who owns each flow now, by the best evidence: permissions, else what the row told, else who made it."""
    if "flows" not in frames:
        return {}
    flows = frames["flows"]
    owner, source = flows["owner_id"], flows["owner_source"]
    granted, maker = _granted(flows, _get(frames, "flow_owners")), flows["creator_id"]
    told = [column.notna().to_numpy() for column in (granted, owner, maker)]
    which = np.select(told, [0, 1, 2], -1)
    words = [worded([word], np.zeros(len(flows), np.int32)) for word in ("permissions", "creator")]
    by = chosen([words[0], source, words[1]], np.where(which < 0, 1, which))
    return {"flows": flows.assign(owner_id=chosen([granted, owner, maker], which), owner_source=by)}


def _granted(flows: pd.DataFrame, owners: pd.DataFrame) -> pd.Series:
    """The holder of the role Owner in the flow's permissions; the maker when he is one of several."""
    held = owners[((owners["role"] == "Owner") & (owners["via"] == "permissions")).fillna(False).to_numpy(bool)]
    if held.empty:
        return pd.Series(pd.NA, index=flows.index, dtype=TEXT)
    key, _ = pd.factorize(codes(pd.concat([flows[PLACE], held[PLACE]], ignore_index=True), PLACE))
    mine, theirs = key[: len(flows)], key[len(flows) :]
    alone = np.bincount(theirs)[theirs] == 1
    holder = np.full(key.max() + 1, -1, dtype=np.int64)
    holder[theirs[alone]] = np.flatnonzero(alone)
    several = held[~alone].assign(key=theirs[~alone], row=np.flatnonzero(~alone))
    asked = np.isin(mine, several["key"])
    maker = pd.DataFrame({"key": mine[asked], "creator_id": flows["creator_id"].array[asked]}).drop_duplicates("key")
    several = several.merge(maker, on="key", how="left")
    other = ~(several["principal_id"] == several["creator_id"]).fillna(False).astype(bool)
    first = several.assign(other=other).sort_values(["other", "principal_id"], kind="stable").drop_duplicates("key")
    holder[first["key"]] = first["row"]
    return pd.Series(held["principal_id"].array.take(holder[mine], allow_fill=True), index=flows.index)


def _last_runs(frames: Frames) -> Frames:
    runs = _get(frames, "runs")
    if "flows" not in frames or runs["start_at"].isna().all():
        return {}
    flows, place = frames["flows"], ["environment_id", "flow_id"]
    newest = runs.groupby(place, as_index=False)["start_at"].max()
    seen = flows[place].merge(newest, on=place, how="left")["start_at"].set_axis(flows.index)
    told = flows["last_run_at"]
    return {"flows": flows.assign(last_run_at=told.where(told.ge(seen).fillna(False) | seen.isna(), seen))}


def _definitions_read(frames: Frames) -> Frames:
    """A flow whose definition no export held has none read: that is certain, so never NA."""
    if "flows" not in frames:
        return {}
    flows = frames["flows"]
    return {"flows": flows.assign(has_definition=flows["has_definition"].fillna(False))}


def _variables(frames: Frames) -> Frames:
    found = _get(frames, "environment_variables")
    return {"environment_variables": variables.settled(found)} if len(found) else {}


def _roles(frames: Frames) -> Frames:
    """Name, template and privilege of roles; the id of a built-in role is its template's."""
    if "role_assignments" not in frames:
        return {}
    held = frames["role_assignments"]
    told = _get(frames, "directory_roles").drop_duplicates("role_id").set_index("role_id")
    shipped = reference.table("entra_roles").drop_duplicates("template_id").set_index("template_id")
    template = held["role_template_id"].fillna(look(held["role_id"], told["template_id"])).fillna(held["role_id"])
    name = held["role_name"].fillna(look(held["role_id"], told["display_name"]))
    name = name.fillna(look(template, shipped["role_name"]))
    mark = held["is_privileged"].fillna(held["role_id"].map(told["is_privileged"]).astype(schema.FLAG))
    shipped_mark = template.map(shipped["is_privileged"].map({"true": True, "false": False})).astype(schema.FLAG)
    known = held.assign(role_template_id=template, role_name=name, is_privileged=mark.fillna(shipped_mark))
    return {"role_assignments": known}


def _permissions(frames: Frames) -> Frames:
    """Names of application permissions: from the API's own list, else from the shipped one of Microsoft Graph."""
    if "app_permissions" not in frames:
        return {}
    held = frames["app_permissions"]
    offered = _get(frames, "app_roles").drop_duplicates(["resource_id", "permission_id"])
    own = offered.set_index(offered["resource_id"] + " " + offered["permission_id"])["permission"]
    shipped = reference.table("graph_permissions")
    shipped = shipped[(shipped["permission_id"] != "") & (shipped["kind"] == "application")]
    graph = shipped.drop_duplicates("permission_id").set_index("permission_id")["permission"]
    unnamed = held["permission"].isna() | (held["permission"] == held["permission_id"]).fillna(False)
    found = look(held["resource_id"] + " " + held["permission_id"], own).fillna(look(held["permission_id"], graph))
    resources = _get(frames, "identities").dropna(subset=["display_name"])
    names = resources.drop_duplicates("identity_id").set_index("identity_id")["display_name"]
    return {
        "app_permissions": held.assign(
            permission=held["permission"].mask(unnamed & found.notna(), found),
            resource_name=filled(held["resource_name"], look(held["resource_id"], names)),
        )
    }


def _part_numbers(frames: Frames) -> Frames:
    if "licences" not in frames or "skus" not in frames:
        return {}
    held = frames["licences"]
    names = frames["skus"].drop_duplicates("sku_id").set_index("sku_id")["sku_part_number"]
    return {"licences": held.assign(sku_part_number=filled(held["sku_part_number"], look(held["sku_id"], names)))}


def _listings(parts: Sequence[Part]) -> frozenset[str]:
    """Kinds of identities that some export listed in full, as far as the exports tell."""
    kinds: set[str] = set()
    for part in parts:
        if part.table == "identities" and part.listed and part.complete is not False:
            alive = part.frame["kind"][(part.frame["status"] != "deleted").fillna(True)]
            kinds.update(alive.dropna().unique())
    return frozenset(kinds)


def _bin_seen(parts: Sequence[Part]) -> bool:
    """Whether deleted users were exported too, as far as the exports tell."""
    people = [p for p in parts if p.table == "identities" and p.listed]
    return any("deleted" in p.source or (p.frame["status"] == "deleted").fillna(False).any() for p in people)


def _identities(frames: Frames, *, listed: np.ndarray, listings: frozenset[str], bin_seen: bool) -> Frames:
    """Every identity that anything refers to, with its status.

    An identity of a kind that was listed in full, but not listed itself, is purged or from another tenant; a user is
    only absent where deleted users were not exported. Where the listing is missing or incomplete, nobody knows.
    """
    known = _get(frames, "identities")
    missing = _referred(frames, pd.Index(known["identity_id"]))
    if known.empty and missing.empty:
        return {}
    everyone = joined([known, missing]) if len(missing) else known
    kind = everyone["kind"]
    kind = kind.fillna("unknown") if kind.isna().any() else kind
    absent = ~np.append(listed, np.zeros(len(missing), dtype=bool)) & among(kind, pd.Index(sorted(listings)))
    enabled, told = everyone["account_enabled"], everyone["status"]
    said = told.dropna().unique()
    words = list(dict.fromkeys([*STATUS, *said]))
    place = np.zeros(len(everyone), dtype=np.int32)
    for word, those in (
        ("purged_or_foreign", absent),
        ("absent", absent & (kind == "user").to_numpy(bool) & (not bin_seen)),
        ("active", enabled.fillna(False).to_numpy(bool)),
        ("disabled", (~enabled).fillna(False).to_numpy(bool)),
        ("deleted", everyone["deleted_at"].notna().to_numpy()),
        ("active", (kind == "tenant").to_numpy(bool)),
        *((word, (told == word).fillna(False).to_numpy(bool)) for word in said),
        ("system", among(everyone["identity_id"], pd.Index(sorted(SYSTEM_IDS)))),
    ):
        place[those] = words.index(word)
    status = CompactText.of(pa.array(words, pa.large_string()), place)
    return {"identities": everyone.assign(kind=kind, status=status)}


def _referred(frames: Frames, known: pd.Index) -> pd.DataFrame:
    """Identities that other tables name and no export described."""
    rows = [_dataverse_only(frames)]
    tables = [(frames[table], column, kind) for table, column, kind in REFERRED if len(_get(frames, table))]
    if not tables and rows[0].empty:
        return schema.empty("identities")
    told = [pd.Series(ids, dtype=TEXT) for ids in (known, _get(frames, "groups")["group_id"], ["", UNTOLD])]
    others = pd.concat(told, ignore_index=True)
    named = [pd.Series(frame[column].unique(), dtype=TEXT) for frame, column, _ in tables]
    ids = pd.concat([pd.Series([], dtype=TEXT), *named])
    unknown = ids[~among(ids, others)]
    for (frame, column, kind), own in zip(tables, named, strict=True):
        if kind.startswith("="):
            found = pd.DataFrame({"identity_id": own[among(own, unknown)]}).assign(kind=kind[1:])
        else:
            found = frame.loc[among(frame[column], unknown), [column, kind]].set_axis(["identity_id", "kind"], axis=1)
            found = found.assign(kind=found["kind"].map(PERSON_KINDS))
        rows.append(found.astype(TEXT))
    if "flows" in frames:
        flows = frames["flows"]
        internal = flows["creator_id"][(flows["creator_kind"] == "DataverseSystemUser").fillna(False)]
        rows.insert(1, pd.DataFrame({"identity_id": internal, "kind": "dataverse_user"}))
    found = pd.concat(rows, ignore_index=True).dropna(subset=["identity_id", "kind"]).drop_duplicates("identity_id")
    found = found[~among(found["identity_id"], others)]
    return schema.frame("identities", found.reset_index(drop=True))


def _holders(frames: Frames) -> Frames:
    grants, people = _get(frames, "grants"), _get(frames, "identities")
    if grants.empty or people.empty:
        return {}
    return {"grants": holders.settled(grants, people, _get(frames, "groups")["group_id"])}


def _own_organisation(frames: Frames) -> Frames:
    """A step that names a Dataverse table and no organisation means the one of its own environment."""
    needs, places = _get(frames, "needs"), _get(frames, "environments")
    if needs.empty or places.empty:
        return {}
    urls = places.dropna(subset=["org_url"]).drop_duplicates("environment_id").set_index("environment_id")["org_url"]
    own = look(needs["environment_id"], urls.str.lower().str.rstrip("/")) + needs["resource"]
    mine = needs["resource"].str.startswith("|").fillna(False) & own.notna()
    return {"needs": needs.assign(resource=needs["resource"].mask(mine, own))}


def _dataverse_only(frames: Frames) -> pd.DataFrame:
    """Dataverse users that are nobody in Entra ID: the service's own accounts, and what is left of people."""
    users = _get(frames, "dataverse_users")
    alone = users[users["identity_id"].isna()]
    system = alone["display_name"].isin(SYSTEM_NAMES)
    off = alone["is_disabled"]
    status = pd.Series("unknown", index=alone.index, dtype=TEXT).mask(off.fillna(False), "disabled")
    return pd.DataFrame(
        {
            "identity_id": alone["systemuser_id"],
            "kind": pd.Series("dataverse_user", index=alone.index, dtype=TEXT),
            "upn": alone["upn"],
            "display_name": alone["display_name"],
            "status": status.mask((~off).fillna(False), "active").mask(system, "system"),
        }
    )
