"""The commands. Each opens its room only when called, so that help is quick."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowanalysis import __version__
from flowanalysis.collect.commands import collect, scopes
from flowanalysis.errors import FlowAnalysisError
from flowanalysis.text import plain

if TYPE_CHECKING:
    from flowanalysis.findings import Examination

PATHS = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
# What is the matter with a disk, a path or its permissions, and not with the program; pandas gives no number.
PLACE_TROUBLES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, None),
}


def say(text: object = "") -> None:
    """Print tenant text and our own, control characters made visible."""
    click.echo("\n".join(plain(line) for line in str(text).splitlines()))


def table(rows: Any, *, columns: Iterable[str], width: int = 60) -> None:
    """Print a frame as aligned plain text."""
    shown = [
        [plain("" if v is None or v != v else v, width=width) for v in row]
        for row in rows[list(columns)].astype(object).where(rows[list(columns)].notna(), "").itertuples(index=False)
    ]
    heads = [c.replace("_", " ") for c in columns]
    widths = [max(len(h), *(len(r[i]) for r in shown)) if shown else len(h) for i, h in enumerate(heads)]
    for line in [heads, ["-" * w for w in widths], *shown]:
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors raised on purpose become one message and exit status 2; Ctrl-C becomes 130."""

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except FlowAnalysisError as error:
            click.echo("\n".join(plain(line) for line in f"flowanalysis: {error}".splitlines()), err=True)
            sys.exit(2)
        except OSError as error:
            if error.errno not in PLACE_TROUBLES:
                raise
            where = f" ({plain(error.filename)})" if error.filename else ""
            told = plain(error.strerror or error)  # some errors hold nothing but a text, with names from outside in it
            click.echo(f"flowanalysis: {told}{where}; nothing half-made was left behind", err=True)
            sys.exit(2)
        except UnicodeEncodeError as error:  # a shell hands on any bytes
            click.echo(f"flowanalysis: {plain(error.object, width=60)} is no text in UTF-8", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("flowanalysis: stopped; nothing half-made was left behind", err=True)
            sys.exit(130)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flowanalysis")
def main() -> None:
    """Who runs which Power Automate flow, with which rights, and what stops when they leave."""


main.add_command(collect)
main.add_command(scopes)


def render_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `report` and `demo` share."""
    for option in reversed(
        (
            click.option(
                "--out",
                type=FOLDER,
                default=Path("reports"),
                show_default=True,
                help="Folder that gets one folder a month.",
            ),
            click.option(
                "--only",
                multiple=True,
                metavar="NOTEBOOK",
                help="Only this notebook, such as 02_ownership; may be repeated.",
            ),
            click.option(
                "--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="Notebooks at the same time."
            ),
            click.option("--pdf", is_flag=True, help="A PDF of every page too, by Chromium, Chrome or Edge."),
            click.option("--open", "open_", is_flag=True, help="Open the report in the browser."),
            click.option("--quiet", is_flag=True, help="No progress bar."),
        )
    ):
        command = option(command)
    return command


def pseudonym_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `report` and `load` share; the key itself stands in no command line and no notebook."""
    command = click.option(
        "--key",
        "key_file",
        type=FILE,
        help="File of the key for pseudonyms, made when absent; FLOWANALYSIS_PSEUDONYM_KEY goes before it.",
    )(command)
    return click.option(
        "--pseudonymise", is_flag=True, help="Replace names, addresses and free text by tokens under a key."
    )(command)


def _key(pseudonymise: bool, key_file: Path | None) -> bytes | None:
    from flowanalysis.pseudonyms import pseudonym_key

    return pseudonym_key(key_file) if pseudonymise else None


def _render(paths: tuple[Path, ...], *, open_: bool, quiet: bool, only: tuple[str, ...], **options: Any) -> None:
    from flowanalysis.report.run import failed, render

    index = render(paths, only=list(only) or None, progress=not quiet, **options)
    if open_:
        click.launch(index.resolve().as_uri())
    broken = failed(index.parent)
    for name in broken:
        click.echo(f"flowanalysis: {plain(name.get('notebook', name))} failed; the report says so at the top", err=True)
    say(f"Open {index}")
    if broken:
        sys.exit(1)


@main.command()
@render_options
@plainly
def demo(**options: Any) -> None:
    """Render the monthly report of the fictional tenant Tailwind Traders."""
    from flowanalysis.places import demo as exports

    months = sorted(p for p in exports().glob("????-??") if p.is_dir())
    _render((months[-1],), previous=months[-2], month=months[-1].name, **options)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--month", metavar="YYYY-MM", help="Name of the report; default: the month of the newest export.")
@click.option("--previous", type=PATHS, help="Last month's exports or snapshot, for what changed.")
@click.option("--policy", type=FILE, help="Your own policy file (TOML).")
@click.option("--environment", help="Only flows of this environment.")
@click.option("--department", help="Only flows owned in this department.")
@pseudonym_options
@render_options
@plainly
def report(paths: tuple[Path, ...], pseudonymise: bool, key_file: Path | None, **options: Any) -> None:
    """Render the monthly report of exports or a snapshot."""
    _render(paths, pseudonym_key=_key(pseudonymise, key_file), **options)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@plainly
def inspect(paths: tuple[Path, ...]) -> None:
    """Say for each file what it was recognised as, what it gave, and what is missing."""
    from flowanalysis.sources import read
    from flowanalysis.sources.coverage import coverage, wanted

    harvest = read(*paths)
    tenant = harvest.tenant()
    log = tenant.collection_log.sort_values(["file", "table"])
    table(log, columns=["file", "source", "table", "rows", "duplicates", "message"])
    if len(tenant.rejected):
        say(f"\nSet aside: {len(tenant.rejected)}")
        table(tenant.rejected.head(50), columns=["file", "record", "reason"], width=100)
    answers = coverage(tenant)
    open_ = answers[answers["answer"] != "full"]
    say(f"\nQuestions answered in full: {len(answers) - len(open_)} of {len(answers)}")
    if len(open_):
        table(open_, columns=["question", "answer", "missing"], width=80)
        say("\nTo answer more, export next:")
    for export in wanted(open_).itertuples():
        helps = f"{export.questions} question{'s' if export.questions > 1 else ''}"
        say(f"\n  {plain(export.export)} (for {helps})\n    {plain(export.command)}")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option(
    "--to",
    "folder",
    required=True,
    type=FOLDER,
    help="The snapshot's folder, such as data/contoso/2026-10; must not exist.",
)
@click.option("--policy", type=FILE, help="With --pseudonymise: its patterns are tried before the names go.")
@pseudonym_options
@click.option("--quiet", is_flag=True, help="No progress bar.")
@plainly
def load(
    paths: tuple[Path, ...], folder: Path, policy: Path | None, pseudonymise: bool, key_file: Path | None, quiet: bool
) -> None:
    """Read exports once and keep them as a snapshot that opens in seconds."""
    from flowanalysis.loading import load as read
    from flowanalysis.policy import load_policy
    from flowanalysis.pseudonyms import pseudonymise as hide
    from flowanalysis.snapshot import write_snapshot

    tenant = read(*paths, progress=not quiet)
    key = _key(pseudonymise, key_file)
    if key:
        tenant = hide(tenant, key, load_policy(policy))
    say(f"{tenant!r}\nSnapshot in {write_snapshot(tenant, folder)}")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--flow", required=True, help="Id or exact name of the flow.")
@plainly
def explain(paths: tuple[Path, ...], flow: str) -> None:
    """Tell one flow: what starts it, as whom each step runs, what it touches, what is unknown."""
    from flowanalysis.analysis.explain import explain as tell
    from flowanalysis.loading import load as read

    say(tell(read(*paths), flow))


@main.command()
@click.argument("flow", metavar="FILE")
@click.option(
    "--data", "paths", multiple=True, required=True, type=PATHS, help="Exports or a snapshot; may be repeated."
)
@click.option("--environment", help="Id of the environment where the flow of the file is to live.")
@click.option("--policy", type=FILE, help="Your own policy file (TOML).")
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, help="Accounts to list.")
@plainly
def advise(flow: str, paths: tuple[Path, ...], environment: str | None, policy: Path | None, most: int) -> None:
    """Rank the service accounts that could run a flow: FILE is its definition, or the id or name of a flow."""
    from flowanalysis.loading import load as read
    from flowanalysis.planning.advise import advise as rank
    from flowanalysis.policy import load_policy

    found = rank(read(*paths), flow, load_policy(policy), environment=environment)
    new = found[found["verdict"] == "create"]
    table(
        found.drop(new.index).head(most),
        columns=["verdict", "account_name", "missing", "excess", "explanation"],
        width=120,
    )
    say(f"\n{new['explanation'].iloc[0]}")
    for right in new["rights"].iloc[0].split("; "):
        say(f"  {right}")


LEVELS = ("critical", "high", "medium", "low", "info")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--previous", type=PATHS, help="Last month's exports or snapshot, for what changed.")
@click.option("--policy", type=FILE, help="Your own policy file (TOML).")
@click.option("--fail-on", type=click.Choice(LEVELS), help="Exit with 1 when a finding is at least this severe.")
@click.option("--sarif", type=FILE, help="Write the findings as SARIF 2.1.0.")
@click.option("--csv", "sheet", type=FILE, help="Write the findings as CSV.")
@click.option("--exceptions", type=FILE, help="Accepted findings (CSV); expired ones are open again.")
@click.option("--ledger", type=FOLDER, help="Keep this month here, and tell what is new, open, fixed or returned.")
@plainly
def check(
    paths: tuple[Path, ...],
    previous: Path | None,
    policy: Path | None,
    fail_on: str | None,
    sarif: Path | None,
    sheet: Path | None,
    exceptions: Path | None,
    ledger: Path | None,
) -> None:
    """Print the findings of exports or a snapshot, and set the exit status."""
    from flowanalysis.exceptions import accepted, apply_exceptions, read_exceptions
    from flowanalysis.findings import examine, to_csv, to_sarif
    from flowanalysis.loading import load as read
    from flowanalysis.policy import load_policy

    tenant = read(*paths)
    examination = examine(tenant, load_policy(policy), previous=read(previous) if previous else None)
    found, columns = examination.findings, ["severity", "rule", "subject_name", "title", "confidence"]
    if exceptions:
        found = apply_exceptions(found, read_exceptions(exceptions), as_of=tenant.as_of)
        columns = [*columns, "exception"]
    table(found, columns=columns)
    counts = found["severity"].value_counts()
    say("\n" + ", ".join(f"{counts.get(level, 0)} {level}" for level in LEVELS))
    if sarif:
        to_sarif(found, sarif)
    if sheet:
        to_csv(found, sheet)
    if ledger:
        say(_months(ledger, tenant.month, examination))
    if fail_on and found.loc[~accepted(found), "severity"].isin(LEVELS[: LEVELS.index(fail_on) + 1]).any():
        sys.exit(1)


def _months(folder: Path, month: str, examination: Examination) -> str:
    """Keep the month and write the ledger of all; how many findings are in which state."""
    from flowanalysis.ledger import STATES, ledger, recall, record, write_ledger

    record(folder, month, examination)
    rows = ledger(recall(folder))
    write_ledger(rows, folder / "ledger.csv")
    counts = rows["state"].value_counts()
    return ", ".join(f"{counts.get(state, 0)} {state}" for state in STATES) + f": {folder / 'ledger.csv'}"


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--init", "draft", type=FILE, help="Draft the register from reality into this CSV.")
@click.option("--check", "compare", is_flag=True, help="Compare the register among the exports with reality.")
@plainly
def register(paths: tuple[Path, ...], draft: Path | None, compare: bool) -> None:
    """Draft the register of service accounts, or compare it with reality."""
    from flowanalysis import register as room
    from flowanalysis.loading import load as read

    if bool(draft) == compare:
        raise click.UsageError("Say either --init FILE or --check.")
    tenant = read(*paths)
    if draft:
        rows = room.draft(tenant)
        room.write(rows, draft)
        say(f"{len(rows)} accounts drafted in {draft}. Fill in owner, deputy, purpose and review date.")
    else:
        table(room.check_register(tenant), columns=["account", "difference", "detail"], width=90)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--out", "folder", type=FOLDER, default=Path("worklists"), show_default=True, help="Folder of the files.")
@click.option("--previous", type=PATHS, help="Last month's exports or snapshot, for what changed.")
@click.option("--policy", type=FILE, help="Your own policy file (TOML).")
@plainly
def worklists(paths: tuple[Path, ...], folder: Path, previous: Path | None, policy: Path | None) -> None:
    """Write who should act on what, by owner and by manager, and the pack that certifies service accounts."""
    from flowanalysis.loading import load as read
    from flowanalysis.policy import load_policy
    from flowanalysis.report.packs import write_packs

    before = read(previous) if previous else None
    for file in write_packs(read(*paths), folder, policy=load_policy(policy), previous=before):
        say(file)


@main.command()
@click.argument("report", type=FOLDER)
@plainly
def verify(report: Path) -> None:
    """Say whether a report is still what was rendered: every file, the inputs, the versions."""
    from flowanalysis.report.publish import verify as compare

    faults = compare(report)
    for fault in faults:
        say(fault)
    if faults:
        sys.exit(1)
    say(f"{report}: unchanged since it was rendered")


@main.command()
@click.argument("data", type=PATHS, required=False)
@click.option(
    "--folder", type=FOLDER, default=Path("explore"), show_default=True, help="Where the copies of the notebooks go."
)
@click.option("--no-browser", is_flag=True, help="Start the server only.")
@plainly
def lab(data: Path | None, folder: Path, no_browser: bool) -> None:
    """Open JupyterLab on a copy of the notebooks with your data."""
    from flowanalysis.report.lab import open_lab

    sys.exit(open_lab(data, folder=folder, browser=not no_browser))
