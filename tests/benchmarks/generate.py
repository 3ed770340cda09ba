"""Exports of a synthetic tenant in the shapes of the real APIs, up to a million users, the same for the same seed.

    python tests/benchmarks/generate.py FOLDER --size S|M|L [--times 0.1|10|…] [--seed N] [--form lines|pages]
        [--definitions N]

| size | users | flows | references, connections | groups | memberships | grants | resources | with definition |
|---|---|---|---|---|---|---|---|---|
| S | 1,000 | 2,000 | 6,000 | 300 | 10,000 | 5,000 | 500 | 2,000 |
| M | 50,000 | 50,000 | 150,000 | 10,000 | 1,000,000 | 500,000 | 30,000 | 10,000 |
| L | 1,000,000 | 500,000 | 1,500,000 | 200,000 | 10,000,000 | 5,000,000 | 300,000 | 0 |

Rows drawn twice are one, so that some counts are a little lower. 0.2 % of the users are service accounts, which make
30 % of the flows; one user in twenty makes flows at all; groups hold groups, a few in cycles, and few rights hang on
the largest; some owners are disabled, deleted or gone without trace. Distributions are assumptions, not measured in
any tenant. Text is assembled by columns: no object per row.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))  # so that it can be imported from anywhere

import export_flows as power
import export_shapes as shapes
from export_text import fill, guids, joined, pages, pick, put, take, text

PIECE = 200_000
"""Rows whose text is assembled together."""


@dataclass(frozen=True)
class Size:
    """How many of everything."""

    users: int
    flows: int
    groups: int
    memberships: int
    grants: int
    resources: int
    environments: int
    definitions: int

    def times(self, factor: float) -> Size:
        """So many times as many of everything, without definitions: how work grows in a tenant that stays as it is."""
        return replace(Size(*(round(count * factor) for count in astuple(self))), definitions=0)


SIZES = {
    "S": Size(1_000, 2_000, 300, 10_000, 5_000, 500, 5, 2_000),
    "M": Size(50_000, 50_000, 10_000, 1_000_000, 500_000, 30_000, 60, 10_000),
    "L": Size(1_000_000, 500_000, 200_000, 10_000_000, 5_000_000, 300_000, 300, 0),
}


def write(
    folder: str | Path, size: str | Size = "S", seed: int = 7, *, form: str = "lines", definitions: int | None = None
) -> Path:
    """Write the exports of one tenant.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there; files of the same name are replaced.
    size : str or Size
        ``S``, ``M``, ``L``, or numbers of your own.
    seed : int
        The same seed gives the same bytes.
    form : str
        ``lines``: JSON Lines. ``pages``: users, groups, flows and connections as files of one page each, members as
        lines that each hold the request and one page.
    definitions : int, optional
        Flows whose detail with the definition is written too; by default as many as the size says.

    Returns
    -------
    Path
        The folder.
    """
    found = SIZES[size] if isinstance(size, str) else size
    wanted = found.definitions if definitions is None else definitions
    world = World(replace(found, definitions=min(wanted, found.flows)), np.random.default_rng(seed))
    place = Path(folder)
    for part in ("graph", "flows"):
        (place / part).mkdir(parents=True, exist_ok=True)
    for step in (_people, _groups, _members, _places, _flows, _permissions, _connections, _shares, _rights):
        step(world, place, form)
    _small(world, place)
    return place


class World:
    """Everything drawn once: ids, and who has to do with what as places in the arrays of ids."""

    def __init__(self, size: Size, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        self.service = max(10, size.users // 500)  # the first so many users are service accounts
        self.deleted, self.purged = max(5, size.users // 100), max(3, size.users // 300)
        everyone = size.users + self.deleted + self.purged
        self.people = guids(rng, everyone)  # users, deleted users, and those whom no export knows
        self.upns = shapes.user_names(everyone, self.service, rng)
        self.apps = guids(rng, max(3, size.users // 500))
        self.groups, self.environments = guids(rng, size.groups), guids(rng, size.environments)
        self._resources()
        self._flows()
        self._connections()

    def makers(self, count: int) -> np.ndarray:
        """Who makes flows: a few make many, service accounts 30 %, some have left."""
        rng, size = self.rng, self.size
        pool = min(size.users - self.service, max(100, size.users // 20))
        person = self.service + (rng.random(count) ** 3 * pool).astype(np.int64)
        person = np.where(rng.random(count) < 0.3, (rng.random(count) ** 2 * self.service).astype(np.int64), person)
        gone = size.users + (rng.random(count) * (self.deleted + self.purged)).astype(np.int64)
        return np.where(rng.random(count) < 0.03, gone, person)

    def _resources(self) -> None:
        """Sites, their lists, mailboxes and teams, each with the key that grants and definitions meet by."""
        count, rng = self.size.resources, self.rng
        sites = max(1, count // 10)
        at = np.arange(count)
        self.kind = np.where(at < sites, 0, 1 + np.searchsorted([0.8, 0.93], rng.random(count)))
        self.site = shapes.site_names(np.where(self.kind == 0, at, rng.integers(0, sites, count)))
        self.inside = guids(rng, count)
        self.mailbox = fill("box-<n>@contoso.example", n=text(at))
        by_kind = (self.site, fill("<a>|<b>", a=self.site, b=self.inside), self.mailbox, self.inside)
        self.resources = shapes.chosen(by_kind, self.kind)
        self.of_kind = [np.flatnonzero(self.kind == k) for k in range(4)]

    def _flows(self) -> None:
        size, rng = self.size, self.rng
        self.flows, self.maker = guids(rng, size.flows), self.makers(size.flows)
        draw = (rng.random(size.flows) ** 2 * size.environments).astype(np.int64)
        self.place = np.where(rng.random(size.flows) < 0.5, 0, draw)  # the first is the default environment
        self.used = np.repeat(np.arange(size.flows), rng.poisson(3, size.flows).clip(0, 9))  # flow of each reference
        self.connector = rng.choice(len(shapes.CONNECTORS), len(self.used), p=shapes.WEIGHTS)
        self.repeat = shapes.nth(self.used * len(shapes.CONNECTORS) + self.connector)
        self.embedded = rng.random(len(self.used)) < 0.85
        power.draw(self, rng)
        self.touched = power.touched(self, rng)

    def _connections(self) -> None:
        """One for each account, environment and connector that a reference means, and some that nothing uses."""
        size, rng = self.size, self.rng
        account = self.maker[self.used]
        shared = rng.random(len(account)) < 0.15
        account = np.where(shared, rng.integers(0, self.service, len(account)), account)
        key = (account * size.environments + self.place[self.used]) * len(shapes.CONNECTORS) + self.connector
        met, self.connection = np.unique(key, return_inverse=True)
        extra = max(0, 3 * size.flows - len(met))
        more = (self.makers(extra) * size.environments + rng.integers(0, size.environments, extra)) * len(
            shapes.CONNECTORS
        )
        found = np.concatenate([met, more + rng.integers(0, len(shapes.CONNECTORS), extra)])
        self.sort, rest = found % len(shapes.CONNECTORS), found // len(shapes.CONNECTORS)
        self.home, self.signed = rest % size.environments, rest // size.environments
        self.connections = fill("<a>-<b>", a=pick(shapes.SHORT, self.sort), b=guids(rng, len(found)))

    def actor(self, chance: np.ndarray) -> tuple[np.ndarray, pa.Array, np.ndarray]:
        """Users (0), groups (1) or applications (2): kinds, ids and places by the chance of each kind."""
        kind = self.rng.choice(3, len(chance), p=[0.6, 0.38, 0.02])
        counts = np.array([self.size.users, self.size.groups, len(self.apps)])[kind]
        at = (chance * counts).astype(np.int64)
        at = np.where(kind == 1, counts - 1 - at, at)  # the first groups are the largest: few rights hang on them
        ids = shapes.chosen((self.people, self.groups, self.apps), kind, at)
        return kind, ids, at


def pieces(count: int) -> list[slice]:
    """Stretches of rows whose text fits into memory."""
    return [slice(low, min(low + PIECE, count)) for low in range(0, count, PIECE)]


def save(rows: list[pa.Array], path: Path, form: str, *, per_page: int, context: str = "") -> None:
    """Rows as JSON Lines, or as files of one page each."""
    if form == "lines":
        put(path.with_suffix(".jsonl"), rows)
    else:
        pages(path, rows, per_page, context)


def _people(world: World, folder: Path, form: str) -> None:
    rows = [shapes.users(world, part) for part in pieces(world.size.users)]
    save(rows, folder / "graph" / "users", form, per_page=999, context=shapes.CONTEXT + "users")
    gone = shapes.deleted(world)
    pages(folder / "graph" / "deleted-users", [gone], len(gone), shapes.CONTEXT + "users", single=True)


def _groups(world: World, folder: Path, form: str) -> None:
    rows = [shapes.groups(world, part) for part in pieces(world.size.groups)]
    save(rows, folder / "graph" / "groups", form, per_page=999, context=shapes.CONTEXT + "groups")


def _members(world: World, folder: Path, form: str) -> None:
    group, member, kind = shapes.memberships(world)
    place = folder / "graph" / "group-members.jsonl"
    parts = pieces(len(group))
    if form == "lines":
        put(place, [shapes.member_lines(world, group[p], member[p], kind[p]) for p in parts])
        return
    rows = pa.concat_arrays([shapes.member_rows(world, member[p], kind[p]) for p in parts])
    whose, starts = np.unique(group, return_index=True)
    body = joined(rows, np.append(starts, len(group)))
    put(place, [fill(shapes.MEMBER_PAGE, group=take(world.groups, whose), rows=body)])


def _places(world: World, folder: Path, form: str) -> None:
    rows = power.environments(world)
    pages(folder / "flows" / "environments", [rows], len(rows), "", single=True)


def _flows(world: World, folder: Path, form: str) -> None:
    parts = pieces(world.size.flows)
    save([power.flows(world, p) for p in parts], folder / "flows" / "flows", form, per_page=250)
    if world.size.definitions:
        details = [power.details(world, p) for p in pieces(world.size.definitions)]
        put(folder / "flows" / "flow-details.jsonl", details)


def _permissions(world: World, folder: Path, form: str) -> None:
    put(folder / "flows" / "flow-permissions.jsonl", [power.permissions(world, p) for p in pieces(world.size.flows)])


def _connections(world: World, folder: Path, form: str) -> None:
    rows = [power.connections(world, p) for p in pieces(len(world.connections))]
    save(rows, folder / "flows" / "connections", form, per_page=250)


def _shares(world: World, folder: Path, form: str) -> None:
    put(folder / "flows" / "connection-permissions.jsonl", [power.shares(world)])


def _rights(world: World, folder: Path, form: str) -> None:
    key = shapes.rights(world)
    put(
        folder / "rights.csv",
        ["who,resource,level,via\n", *(shapes.right_lines(world, *(k[p] for k in key)) for p in pieces(len(key[0])))],
    )


def _small(world: World, folder: Path) -> None:
    """The short lists: applications, roles, licences, the register."""
    for name, context, rows in (
        ("service-principals", "servicePrincipals", shapes.applications(world)),
        ("role-assignments", "roleManagement/directory/roleAssignments", shapes.roles(world)),
        ("subscribed-skus", "subscribedSkus", pa.array(shapes.SKUS, pa.large_string())),
    ):
        pages(folder / "graph" / name, [rows], len(rows), shapes.CONTEXT + context, single=True)
    put(folder / "register.csv", [shapes.REGISTER + "\n", shapes.register(world)])


def main() -> None:
    """Write to the folder given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--times", type=float, help="so many times as many of everything, without definitions")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--form", choices=("lines", "pages"), default="lines")
    parser.add_argument("--definitions", type=int)
    chosen = parser.parse_args()
    count = SIZES[chosen.size].times(chosen.times) if chosen.times else chosen.size
    place = write(chosen.folder, count, chosen.seed, form=chosen.form, definitions=chosen.definitions)
    size = sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
    print(f"{place}: {size / 2**20:,.0f} MB")


if __name__ == "__main__":
    main()
