"""Who holds rights: exports name holders by id, by sign-in name, by mail address or by application."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowanalysis.schema import TEXT
from flowanalysis.schema.compact import CompactText, chosen
from flowanalysis.sources import hashes
from flowanalysis.sources.columns import filled, look, renamed, shared
from flowanalysis.sources.values import among

NAMED = ["identity_id", "status"]


def settled(grants: pd.DataFrame, people: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Rights kept by name become rights of the identity; of several with one name the living one holds them.

    Parameters
    ----------
    grants, people : DataFrame
        Tables ``grants`` and ``identities``.
    groups : Series
        Ids of groups.
    """
    told = shared(grants["principal_id"]).used()  # of millions of rights there are far fewer holders
    words = pd.Series(TEXT.__from_arrow__(told.words))
    named = _by_name(words, people)
    kind = _kinds(filled(named, words), people, groups)
    given = grants["principal_kind"]
    unknown = (given.isna() | (given == "unknown").fillna(False)).to_numpy()
    changed: dict[str, object] = {}
    if named.notna().any():
        changed["principal_id"] = renamed(told, named)
    if unknown.any():
        kinds = shared(kind)
        found = CompactText.of(kinds.words, np.append(kinds.places, np.int32(-1))[told.places])
        changed["principal_kind"] = chosen([given, found], (unknown & ~found.isna()).astype(int))
    return grants.assign(**changed)


def _kinds(holders: pd.Series, people: pd.DataFrame, groups: pd.Series) -> pd.Series:
    """The kind of identity that each holder is; NA where nobody knows."""
    place = hashes.places(hashes.arrow(holders), hashes.arrow(people["identity_id"]))
    kind = pd.Series(people["kind"].array.take(place, allow_fill=True))
    others = kind.index[kind.isna()]
    kind[others[among(holders[others], groups)]] = "group"
    return kind


def _by_name(holders: pd.Series, people: pd.DataFrame) -> pd.Series:
    """The identity whose sign-in name, mail address or application id each holder is; NA for the others."""
    is_address = _is_address(holders)
    found = []
    for column in ("upn", "mail", "app_id"):
        names = people[column].str.lower()
        those = _is_address(names)  # rights are mostly held by id, and no address is one
        met = np.zeros(len(people), dtype=bool)
        for mine, theirs in ((those, is_address), (names.notna().to_numpy() & ~those, ~is_address)):
            met[mine] = among(names[mine], holders[theirs])
        found.append(people.loc[met, NAMED].assign(name=names[met], mail=column != "upn"))
    pairs = pd.concat(found, ignore_index=True).dropna(subset=["identity_id"])
    # the sign-in name before the mail address, in each the living before the others
    living = pairs["status"].ne("active").fillna(True)
    pairs = pairs.assign(gone=living).sort_values(["mail", "gone"], kind="stable").drop_duplicates("name")
    return look(holders, pairs.set_index("name")["identity_id"])


def _is_address(names: pd.Series) -> np.ndarray:
    return names.str.contains("@", regex=False).fillna(False).to_numpy(bool)
