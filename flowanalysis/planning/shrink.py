"""The same number of roles, thinner.

A cover with the fewest roles leaves much free: an assignment may lie in several roles. The weight of a solution is the
number of roles, memberships and grants (weighted structural complexity with unit weights). Three moves lower it:

* every row keeps few of the roles that fit it, the grants of the roles being fixed;
* every column is granted to few of the roles that fit it, the memberships being fixed;
* a role inherits: its members join another role, and it gives up the grants both had - or the same with members and
  grants exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from heapq import heapify, heappop, heappush
from operator import and_

from flowanalysis.planning.clock import Clock
from flowanalysis.planning.kernel import Relation, bits

Role = tuple[int, int]  # bit set of rows, bit set of columns
Sets = list[int]  # one bit set per role
Weights = Sequence[int]  # originals that each distinct row or column stands for


def weight(roles: Sequence[Role], row_weight: Sequence[int], column_weight: Sequence[int]) -> int:
    """Roles + memberships + grants; distinct rows and columns count as often as they stand for originals."""
    return len(roles) + sum(_sum(rows, row_weight) + _sum(columns, column_weight) for rows, columns in roles)


def shrink(
    relation: Relation,
    roles: Sequence[Role],
    row_weight: Sequence[int],
    column_weight: Sequence[int],
    clock: Clock,
) -> list[Role]:
    """Lower the weight of a cover; never more roles, never an assignment more or less.

    The descent runs from the cover as it is and from its two extremes (all members that fit, all grants that fit);
    the lightest end wins, the earlier among equals.

    Parameters
    ----------
    relation : Relation
    roles : sequence of (int, int)
        Bit sets of rows and columns.
    row_weight, column_weight : sequence of int
        Number of originals behind every distinct row and column.
    clock : Clock
        Asked between moves; the lightest cover so far is returned once no time is left, or on an interrupt.
    """
    best = list(roles)
    try:
        for start in (_as_it_is, _all_members, _all_grants):
            for found in _descend(relation, start, roles, row_weight, column_weight, clock):
                if weight(found, row_weight, column_weight) < weight(best, row_weight, column_weight):
                    best = found
    except KeyboardInterrupt:
        clock.stop()
    return best


def _as_it_is(relation: Relation, roles: Sequence[Role]) -> list[Role]:
    return list(roles)


def _all_members(relation: Relation, roles: Sequence[Role]) -> list[Role]:
    rows = [_holders(relation.rows_of, columns) for _, columns in roles]
    columns = _thin(relation.rows_of, rows)
    return list(zip(_thin(relation.columns_of, columns), columns, strict=True))


def _all_grants(relation: Relation, roles: Sequence[Role]) -> list[Role]:
    columns = [_holders(relation.columns_of, rows) for rows, _ in roles]
    rows = _thin(relation.columns_of, columns)
    return list(zip(rows, _thin(relation.rows_of, rows), strict=True))


def _descend(
    relation: Relation,
    start: Callable[[Relation, Sequence[Role]], list[Role]],
    roles: Sequence[Role],
    row_weight: Weights,
    column_weight: Weights,
    clock: Clock,
) -> Iterator[list[Role]]:
    """Yield lighter and lighter covers until no move helps."""
    if not clock.keep_going():
        return
    rows, columns = [list(side) for side in zip(*start(relation, roles), strict=True)]
    before = None
    while clock.keep_going():
        _inherit(relation.rows_of, rows, columns, row_weight, column_weight, clock)
        _inherit(relation.columns_of, columns, rows, column_weight, row_weight, clock)
        rows = _thin(relation.columns_of, columns)
        columns = _thin(relation.rows_of, rows)
        found = [(r, c) for r, c in zip(rows, columns, strict=True) if r and c]
        yield found
        now = weight(found, row_weight, column_weight)
        if before is not None and now >= before:
            return
        before = now


def _inherit(
    rows_of: Sequence[int], rows: Sets, columns: Sets, row_weight: Weights, column_weight: Weights, clock: Clock
) -> None:
    """Let members of one role join another where the grants given up weigh more. Changes both lists in place.

    Every single move leaves a cover, so the clock may end the moves anywhere.
    """
    granted = _turned(columns, len(rows_of))
    for giver, grants in enumerate(columns):
        if not clock.keep_going():
            return
        fit = _holders(rows_of, grants) if grants else 0
        for role in bits(_union(granted, grants) & ~(1 << giver)):
            shared = columns[role] & columns[giver]
            if not shared or shared == columns[role] or rows[role] & ~fit:
                continue
            joining = rows[role] & ~rows[giver]
            if _sum(shared, column_weight) > _sum(joining, row_weight):
                rows[giver] |= joining
                columns[role] &= ~shared


def _thin(targets: Sequence[int], sets: Sequence[int]) -> Sets:
    """For every set the targets that use it, when every target is put together from few of the sets inside it."""
    frequent = [0] * max((target.bit_length() for target in targets), default=0)
    members = [bits(mask) for mask in sets]
    for positions in members:
        for position in positions:
            frequent[position] += 1
    shelf: list[list[int]] = [[] for _ in frequent]  # every set under its rarest member, where targets look for it
    for key, positions in enumerate(members):
        if positions:
            shelf[min(positions, key=lambda position: (frequent[position], position))].append(key)
    users = [0] * len(sets)
    for index, target in enumerate(targets):
        fitting = [(key, sets[key]) for place in bits(target) for key in shelf[place] if not sets[key] & ~target]
        for key in few(target, fitting):
            users[key] |= 1 << index
    return users


def few(target: int, offers: Sequence[tuple[int, int]]) -> list[int]:
    """Keys of few offers that together make up `target`: greedily, then without those that the others make needless.

    >>> few(0b1111, [(0, 0b0110), (1, 0b0011), (2, 0b1100)])
    [1, 2]
    """
    heap = [(-mask.bit_count(), key, mask) for key, mask in offers]
    heapify(heap)
    chosen: dict[int, int] = {}
    rest = target
    while rest:
        size, key, mask = heappop(heap)
        gain = (mask & rest).bit_count()
        if gain == -size:
            chosen[key] = mask
            rest &= ~mask
        elif gain:
            heappush(heap, (-gain, key, mask))
    return sorted(_needed(chosen))


def _needed(chosen: dict[int, int]) -> dict[int, int]:
    """Sets of a cover without those whose every position another one has too."""
    while True:
        once = twice = 0
        for mask in chosen.values():
            twice |= once & mask
            once |= mask
        needless = [k for k, mask in chosen.items() if not mask & ~twice]
        if not needless:
            return chosen
        del chosen[needless[0]]


def _sum(mask: int, weights: Sequence[int]) -> int:
    return sum(weights[position] for position in bits(mask))


def _holders(sets: Sequence[int], positions: int) -> int:
    """What all of the sets at these positions have in common."""
    return reduce(and_, (sets[position] for position in bits(positions)))


def _union(sets: Sequence[int], positions: int) -> int:
    found = 0
    for position in bits(positions):
        found |= sets[position]
    return found


def _turned(sets: Sequence[int], width: int) -> Sets:
    """For every position the bit set of the sets that have it."""
    turned = [0] * width
    for key, mask in enumerate(sets):
        for position in bits(mask):
            turned[position] |= 1 << key
    return turned
