"""Tables about the exports themselves: what was collected, set aside, contradicted."""

from flowanalysis.schema.declare import declare

TABLES = (
    declare(
        "collection_log",
        "source file table",
        "What was read from where",
        """
        source text kind of export, such as graph or flowadmin
        file text name of the file, relative to the place given
        table text table that it filled; empty string for a file that gave none
        rows count rows given
        duplicates count rows met before
        complete flag nothing more to fetch as far as the file tells
        next_link flag a link to a further page was left over
        observed_at time when collected, as far as known
        message text what an analyst must know
    """,
    ),
    declare(
        "rejected",
        "file record table",
        "A record set aside",
        """
        file text name of the file
        record text place in the file: line, row, index or id
        table text table it would have gone to
        reason text why, and what to do
    """,
    ),
    declare(
        "conflicts",
        "table key column",
        "Two sources that say different things of one row",
        """
        table text table
        key text key of the row
        column text column
        kept text value kept
        kept_source text source trusted
        dropped text value not kept
        dropped_source text other source
        count count values that the row stands for: 1; of a list that was cut, the last row stands for all not listed
    """,
    ),
)
