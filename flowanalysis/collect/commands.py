"""The commands `collect` and `scopes`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from flowanalysis.collect.names import PARTS, WAYS
from flowanalysis.errors import FlowAnalysisError, HonestStop
from flowanalysis.text import plain

__all__ = ["collect", "scopes"]


def _parts(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    strange = [name for name in names if name not in PARTS]
    if strange or not names:
        raise click.BadParameter(f"{strange[0] if strange else 'nothing'}: choose of {', '.join(PARTS)}")
    return names


@click.command()
@click.option("--tenant", required=True, help="Domain or id, such as contoso.example.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/exports"),
    show_default=True,
    help="Folder of all collections. They hold personal data: keep it out of git.",
)
@click.option("--parts", default=",".join(PARTS), show_default=True, callback=_parts, help="What to read.")
@click.option("--since", metavar="FOLDER|last", help="Ask for changes of users and groups since an earlier collection.")
@click.option("--signin", type=click.Choice(WAYS), default="device", show_default=True, help="How to sign in.")
@click.option("--cloud", default="global", show_default=True, help="global, gcc, gcchigh, dod or china.")
@click.option("--dry-run", is_flag=True, help="Print the calls and their estimated number; send nothing.")
@click.option("--quiet", is_flag=True, help="No bars.")
def collect(*, quiet: bool, **options: Any) -> None:
    """Read a tenant into a folder of exports: nothing is changed there, and what is missing is named.

    \b
    Ways to sign in take what they need from the environment:
      FLOWANALYSIS_CLIENT_ID         application id of your registration (all but managed-identity)
      FLOWANALYSIS_CERTIFICATE       PEM or PFX file (certificate), FLOWANALYSIS_CERTIFICATE_PASS its passphrase
      FLOWANALYSIS_CLIENT_SECRET     the secret (secret)
      FLOWANALYSIS_TOKEN_FILE        file of the assertion (federated)
      FLOWANALYSIS_IDENTITY          client id of a user-assigned identity (managed-identity)
      FLOWANALYSIS_CACHE             encrypted | plaintext; tokens stay in memory without it
    A run that stopped goes on when the same command is given again within two days.
    """
    from flowanalysis.collect.run import collect as read  # late: requests and pandas take their time

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        folder = read(progress=not quiet, **options)
    except HonestStop as stop:
        click.echo(f"flowanalysis: {plain(stop)}", err=True)
        sys.exit(1)
    except FlowAnalysisError as error:
        click.echo(f"flowanalysis: {plain(error)}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("flowanalysis: stopped; what was read is kept, the same command goes on", err=True)
        sys.exit(130)
    if not options["dry_run"]:
        click.echo(f"{folder}: complete. Go on with: flowanalysis report {folder}")


@click.command()
@click.option("--parts", default=",".join(PARTS), show_default=True, callback=_parts, help="What will be read.")
@click.option("--cloud", default="global", show_default=True, help="global, gcc, gcchigh, dod or china.")
def scopes(parts: tuple[str, ...], cloud: str) -> None:
    """Print the least permissions for collecting, and how to register the application."""
    from flowanalysis.collect.scopes import STEPS, table  # late: pandas takes its time

    try:
        needed = table(parts, cloud_name=cloud)
    except FlowAnalysisError as error:
        raise click.BadParameter(plain(error)) from None
    for (service, audience), rows in needed.groupby(["service", "audience"], sort=False):
        click.echo(f"{service} ({audience})")
        for row in rows.itertuples():
            click.echo(f"  {row.kind:12} {row.permission:45} {row.collections}")
    click.echo(f"\n{STEPS}")
