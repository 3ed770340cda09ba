"""Integer codes for ids, and one sparse matrix per relation: what the analyses compute on.

Ids are interned once, in alphabetical order, so that results sorted by code are sorted by id. Every
relation is a compressed sparse row matrix of small integers:

=========== ====================== ===========================================================
relation    rows x columns         value
=========== ====================== ===========================================================
member      principal x principal  1: the row is a direct member of the column
held        principal x resource   highest level granted: read 1, write 2, owner 3, full 4
cover       resource x resource    1: the column is the row or lies inside it, at any depth
owns        flow x principal       RunOnly 1, CanView 2, CanEdit 3, Owner 4
uses        flow x connection      1: declared by the flow and embedded; invoker connections do not count
shares      connection x principal CanView 1, CanViewWithShare 2, CanEdit 3, Owner 4
signs_in    connection x principal 1: the account behind the connection
runs_as     flow x principal       1: an embedded connection of the flow signs in as the account
=========== ====================== ===========================================================

Groups are principals. A grant to everyone is held by a principal of its own, of which every member user is
a direct member; guests are not.
"""

from flowanalysis.codes.make import LEVELS, OWNER_ROLES, SHARE_ROLES, build, coded, level_codes, ranks
from flowanalysis.codes.names import SEPARATOR, Names, pair, split
from flowanalysis.codes.relations import ROWS, SHAPES, Codes

__all__ = [
    "LEVELS", "OWNER_ROLES", "ROWS", "SEPARATOR", "SHAPES", "SHARE_ROLES", "Codes", "Names", "build", "coded",
    "level_codes", "pair", "ranks", "split",
]  # fmt: skip
