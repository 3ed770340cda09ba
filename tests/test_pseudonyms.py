"""Names behind tokens: every analysis answers as before, no name is left, and only the key links two months."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import rooms
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import flowanalysis as fa
from flowanalysis import schema
from flowanalysis.cli import main
from flowanalysis.errors import RefusedInput
from flowanalysis.findings import examine
from flowanalysis.policy import load_policy
from flowanalysis.pseudonyms import KEY, Pseudonyms, fingerprint, personal, pseudonym_key, pseudonymise
from flowanalysis.report.run import render
from flowanalysis.tenant import Tenant

SECRET = b"a key of these tests alone"
ANALYSES = [
    *("execution_map", "effective_permissions", "privileges", "least_privilege_gap", "blast_radius", "escalations"),
    *("permission_overlap", "departure_impact", "bus_factor", "unused_connections", "classify", "coverage", "steps"),
    "needs",
]
SOUND = rooms.build()
# Columns whose words are the service's own, though a step or group may bear the same name.
PUBLIC = {"department", "signals", "type", "method", "trigger_type", "kind"}


@pytest.fixture(scope="module")
def hidden(months) -> dict[str, Tenant]:
    return {month: pseudonymise(tenant, SECRET) for month, tenant in months.items()}


@pytest.fixture(scope="module")
def tokens(months, hidden) -> dict[str, str]:
    """Every replaced value with its token."""
    found: dict[str, str] = {}
    for month, tenant in months.items():
        for table in schema.TABLES:
            for column, kind in personal(table).items():
                if kind != "keep":
                    pairs = zip(tenant[table][column].dropna(), hidden[month][table][column].dropna(), strict=True)
                    found |= {before: after for before, after in pairs if before != after}
    return found


@pytest.mark.parametrize("table", schema.TABLES)
def test_somebody_decided_for_every_text_column(table):
    text = [c.name for c in schema.table(table).columns if c.kind == "text"]
    assert sorted(personal(table)) == sorted(text)


def comparable(frame: pd.DataFrame, tokens: dict[str, str]) -> list[str]:
    """Rows without sentences, names exchanged for their tokens, in an order of their own."""
    plain = frame.astype(object).where(frame.notna(), None)
    worded = [c for c in plain if plain[c].map(lambda v: isinstance(v, str) and " " in v).any()]
    kept = plain.drop(columns=worded).apply(
        lambda column: column if column.name in PUBLIC else column.map(lambda v: tokens.get(str(v), v))
    )
    return sorted(repr(row) for row in kept.to_dict("records"))


def shared(left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    """Columns that hold no sentence on either side."""

    def worded(frame: pd.DataFrame) -> set[str]:
        return {c for c in frame if frame[c].astype(object).map(lambda v: isinstance(v, str) and " " in v).any()}

    return [c for c in left if c not in worded(left) | worded(right)]


def assert_same(plain: pd.DataFrame, under: pd.DataFrame, tokens: dict[str, str]) -> None:
    columns = shared(plain, under)
    assert len(columns) >= 3
    assert comparable(plain[columns], tokens) == comparable(under[columns], {})


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_under_pseudonyms_is_the_analysis_with_its_names_replaced(months, hidden, tokens, name):
    analysis = getattr(fa, name)
    assert_same(analysis(months["2026-10"]), analysis(hidden["2026-10"]), tokens)


def test_departures_and_drift_are_the_same(months, hidden, tokens):
    people = months["2026-10"].identities["identity_id"].head(60).tolist()
    assert_same(*(fa.departures(m["2026-10"], people) for m in (months, hidden)), tokens)
    assert_same(*(fa.drift(m["2026-09"], m["2026-10"]) for m in (months, hidden)), tokens)


def test_findings_are_the_same_and_keep_their_ids(months, hidden, tokens):
    plain, under = (examine(m["2026-10"], previous=m["2026-09"]) for m in (months, hidden))
    by_id = plain.findings["subject_id"].isin(tokens)  # a register that names an account by address alone
    assert set(plain.findings.loc[~by_id, "finding_id"]) <= set(under.findings["finding_id"])
    assert by_id.sum() <= 2
    for left, right in ((plain.findings, under.findings), (plain.evidence, under.evidence)):
        assert_same(left.drop(columns="finding_id"), right.drop(columns="finding_id"), tokens)
    assert plain.answerable.equals(under.answerable)


def test_a_policy_that_looks_at_names_still_finds_them(months, tokens, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(
        "[business_flows]\nnames = ['invoice', 'licence']\nnot_names = ['report']\n"
        "[severity]\ncritical_names = ['payroll', 'register']\n"
        "[sensitivity]\npatterns = [{ match = 'sites sales', weight = 7.0 }]\n"
        "[identities]\nnames = ['^[a-d]']\njob_titles = ['planner']\n",
        encoding="utf-8",
    )
    policy, tenant = load_policy(file), months["2026-10"]
    plain, under = (examine(one, policy).findings for one in (tenant, pseudonymise(tenant, SECRET, policy)))
    assert_same(plain.drop(columns="finding_id"), under.drop(columns="finding_id"), tokens)
    default = examine(tenant).findings
    assert not default[["finding_id", "severity"]].equals(plain[["finding_id", "severity"]]), "the policy does nothing"


def test_one_key_gives_one_token_in_all_tables_and_months_and_another_key_another(months, hidden):
    first, second = (hidden[m].identities.set_index("identity_id")["upn"].dropna() for m in sorted(hidden))
    both = first.index.intersection(second.index)
    assert len(both) > 250
    assert (first[both] == second[both]).mean() > 0.99  # who married has another name, and so another token
    accounts = hidden["2026-10"].connections["account_name"].dropna()
    assert accounts[accounts.str.contains("@")].isin(second).mean() > 0.9
    other = pseudonymise(months["2026-10"], b"another key of these tests").identities["upn"].dropna()
    assert not set(other) & set(second)
    assert fingerprint(SECRET) != fingerprint(b"another key of these tests")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_a_token_tells_nothing_of_its_name(name):
    tokens = Pseudonyms(SECRET, SOUND)
    token = tokens.word(name)
    assert re.fullmatch(r"(name-[0-9a-f]{16}((#ext#)?@[0-9a-f]{8}\.example)?)?", token)
    assert tokens.word(name.upper()) == tokens.word(name.upper().casefold())


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("id", "7e06b566-15f3-4013-8bf8-79874d52e68a", True),
        ("id", "shared-office365-7e06b566-15f3-4013-8bf8-79874d52e68a", True),
        ("id", "shared-danas-5fsql-5fab12-7e06b566-15f3-4013-8bf8-79874d52e68a", False),
        ("id", "dana@fabrikam.example", False),
        ("id", "(none)", True),
        ("role", "Global Administrator", True),
        ("role", "Dana's helpers", False),
        ("connector", "shared_sql", True),
        ("connector", "shared_danas-5fapi-5f0123456789abcdef", False),
        ("operation", "SendEmailV2", True),
        ("operation", "MailDana", False),
        ("alias", "shared_office365_2", True),
        ("alias", "dana", False),
    ],
)
def test_what_says_nothing_of_a_person_is_kept(kind, value, kept):
    assert (Pseudonyms(SECRET, SOUND).of(kind)(value) == value) == kept


def test_rights_places_and_sentences_keep_their_form():
    tokens = Pseudonyms(SECRET, SOUND)
    site = tokens.word("https://fabrikam.example/sites/a")
    assert tokens.of("rights")("list=https://fabrikam.example/sites/a|x:write; mailbox=dana@x.example:read") == (
        f"list={site}|{tokens.word('x')}:write;mailbox={tokens.word('dana@x.example')}:read"
    )
    assert tokens.of("sentence")("fab_DanasKey, with a default value") == (
        f"{tokens.word('fab_DanasKey')}, with a default value"
    )
    assert tokens.of("message")("'Dana' wrote to dana@x.example").count("name-") == 2


def test_the_key_is_made_once_for_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    file = tmp_path / "made" / "key"
    first = pseudonym_key(file)
    assert (len(first), pseudonym_key(file)) == (64, first)
    if os.name != "nt":
        assert oct(file.stat().st_mode & 0o777) == "0o600"
        file.chmod(0o644)
        with pytest.raises(RefusedInput, match="others can read"):
            pseudonym_key(file)
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(RefusedInput, match="at least 16"):
        pseudonym_key(file)
    monkeypatch.setenv(KEY, "long enough for a key")
    assert pseudonym_key(file) == b"long enough for a key"


def names_of(tenant: Tenant) -> set[str]:
    """What must not be found: names and addresses of people, names of flows, groups, places and steps."""
    found: set[str] = set()
    for table, columns in {
        "identities": "display_name upn mail given_name surname",
        "flows": "display_name description",
        "environments": "display_name org_url",
        "connection_references": "display_name reference_name",
        "connections": "account_name server",
        "register": "owner deputy purpose",
        "steps": "name",
    }.items():
        for column in columns.split():
            found |= set(tenant[table][column].dropna())
    public = {v for t in tenant.collected for c, k in personal(t).items() if k == "keep" for v in tenant[t][c].dropna()}
    return {name for name in found - public if len(name) > 4 and not ORDINARY.fullmatch(name)}


# Words that our own pages use.
ORDINARY = re.compile(r"(?i)[a-z]{1,6}|customer service|planner|recurrence|service|invoice|human resources|delegated")


def searched(folder: Path, names: set[str]) -> set[str]:
    """Names found in any byte of a folder, in names of files and inside workbooks too."""
    texts = [data.decode("utf-8", "ignore") for data in contents(folder)]
    met = {n for n in names for text in texts if n in text}
    return {n for n in met if any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text) for text in texts)}


def contents(folder: Path) -> Iterator[bytes]:
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield file.name.encode()
        yield file.read_bytes()
        if file.suffix == ".xlsx":
            with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as book:
                yield from (book.read(name) for name in book.namelist())


def test_no_name_is_in_any_byte_of_a_report_under_pseudonyms(root, months, tmp_path):
    names = names_of(months["2026-10"]) | names_of(months["2026-09"])
    assert len(names) > 800
    page = render(
        root / "data" / "demo" / "2026-10",
        previous=root / "data" / "demo" / "2026-09",
        out=tmp_path,
        only=["03_service_accounts"],
        progress=False,
        pseudonym_key=SECRET,
    )
    assert searched(page.parent, names) == set()
    assert searched(page.parent, {SECRET.decode()}) == set()
    assert b"names are pseudonyms" in page.read_bytes()
    control = searched(root / "reports" / "sample" / "tables", names)
    assert len(control) > 150, "the search finds nothing where names stand"


def test_a_snapshot_under_pseudonyms_holds_no_name(root, months, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, SECRET.decode())
    place = tmp_path / "kept"
    told = CliRunner().invoke(
        main, ["load", str(root / "data" / "demo" / "2026-10"), "--pseudonymise", "--quiet", "--to", str(place)]
    )
    assert told.exit_code == 0, told.output
    kept, names = fa.load(place), names_of(months["2026-10"])
    cells = {v for t in kept.collected for c in kept[t] if c in personal(t) for v in kept[t][c].dropna().unique()}
    assert not cells & names
    assert kept.as_of == months["2026-10"].as_of
    assert kept.collected == months["2026-10"].collected
