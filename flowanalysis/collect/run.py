"""Collect a tenant into one folder of raw pages and a manifest that says what is there and what is not."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flowanalysis
from flowanalysis.collect import delta, graph
from flowanalysis.collect.clock import Clock
from flowanalysis.collect.clouds import Cloud
from flowanalysis.collect.clouds import cloud as cloud_named
from flowanalysis.collect.context import Context
from flowanalysis.collect.disk import Disk
from flowanalysis.collect.endpoints import Endpoint, chosen
from flowanalysis.collect.fanout import read_each
from flowanalysis.collect.folders import FORMAT, find_open, last_sealed, lock, manifest_of, new_folder, tenant_folder
from flowanalysis.collect.journal import STATE
from flowanalysis.collect.limits import Limits
from flowanalysis.collect.lists import read_list
from flowanalysis.collect.names import PARTS
from flowanalysis.collect.parents import parents
from flowanalysis.collect.redact import Redactor
from flowanalysis.collect.signin import sign_in
from flowanalysis.collect.stops import Interrupted
from flowanalysis.collect.transport import Tokens, Transport
from flowanalysis.errors import CollectError, HonestStop, SignInError

__all__ = ["collect"]

GOOD = {"complete", "absent"}


def collect(
    *,
    tenant: str,
    out: str | Path = Path("data") / "exports",
    parts: Sequence[str] = PARTS,
    since: str | Path | None = None,
    dry_run: bool = False,
    signin: str | Tokens = "device",
    cloud: str | Cloud = "global",
    progress: bool = True,
    redactor: Redactor | None = None,
    allow_partial: bool = False,
    clock: Clock | None = None,
    limits: Limits | None = None,
    disk: Disk | None = None,
) -> Path:
    """Read a tenant, read-only, into ``out/<tenant>/<time>/``.

    Parameters
    ----------
    tenant : str
        Domain or id.
    out : path
        Folder of all collections; keep it out of git, the files hold personal data.
    parts : sequence of str
        Of ``graph``, ``flows``, ``dataverse``.
    since : path or "last", optional
        An earlier collection: users and groups are asked for changes only, where it kept a link.
    dry_run : bool
        Send nothing; print the calls that would be made.
    signin : str or Tokens
        ``device``, ``interactive``, ``certificate``, ``managed-identity``, ``federated``, ``secret``; or anything that
        gives tokens.
    cloud : str
        Of ``reference/clouds.toml``.
    progress : bool
        Bars on stderr.
    redactor : function, optional
        Takes a flow definition, gives it back without literal secrets; the package's own where absent.
    allow_partial : bool
        Give back the folder even when something is missing; the manifest names it.
    clock, limits, disk : optional
        Handed in by tests.

    Returns
    -------
    Path
        The folder. A run that was interrupted goes on in the same folder when called again within two days.

    Raises
    ------
    HonestStop
        When something is missing: what was read is in the folder, the manifest says ``complete: false`` and why.
    CollectError
        When nothing could be begun.
    """
    where, parts = cloud_named(cloud), tuple(dict.fromkeys(parts))
    endpoints = chosen(parts)
    clock, disk = clock or Clock(), disk or Disk()
    home = tenant_folder(Path(out), tenant, disk)
    if dry_run:
        from flowanalysis.collect.plan import show  # late: only here needed

        show(endpoints, home)
        return home
    if redactor is None:
        from flowanalysis.definitions.stripped import strip  # late: only a run that sends needs it

        redactor = strip
    tokens = sign_in(signin, tenant=tenant, cloud=where) if isinstance(signin, str) else signin
    transport = Transport(tokens, clock=clock, limits=limits)
    with lock(home):
        base = _base(home, since, tenant=tenant.lower(), cloud=where.name)
        request: dict[str, Any] = {
            "tenant": tenant.lower(),
            "cloud": where.name,
            "parts": list(parts),
            "since": base.name if base else "",
        }
        folder, request = _folder(home, request, clock, disk)
        context = Context(transport, where, folder, request["observed"], disk, clock, redactor, progress=progress)
        run = _Run(context, endpoints, request, base)
        with _few_searches():
            run.everything()
    if not (run.complete or allow_partial):
        raise HonestStop(run.sentence())
    return folder


@contextmanager
def _few_searches() -> Iterator[None]:
    """Let Python look for cycles rarely: pages are trees, and the search costs twice as much as decoding them."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 100_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _base(home: Path, since: str | Path | None, **told: str) -> Path | None:
    """The collection to build on; `told` is what its manifest must say too: whose it is."""
    if since is None:
        return None
    base = last_sealed(home) if str(since) == "last" else Path(since)
    if base is None:
        return None
    manifest = manifest_of(base)
    if manifest is None:
        raise CollectError(f"{base} is not a finished collection: it has no manifest.json that can be read")
    strange = [name for name, value in told.items() if manifest.get(name) != value]
    if strange:
        raise CollectError(
            f"{base} is of another {strange[0]} ({str(manifest.get(strange[0]))[:80]!r}): "
            "what changed here since then says nothing about it"
        )
    return base


def _folder(home: Path, request: dict[str, Any], clock: Clock, disk: Disk) -> tuple[Path, dict[str, Any]]:
    found = find_open(home, request, clock)
    if found is not None:
        return found
    request = {**request, "observed": clock.now().isoformat(timespec="seconds")}
    return new_folder(home, request, clock, disk), request


@dataclass
class _Run:
    context: Context
    endpoints: list[Endpoint]
    request: dict[str, Any]
    base: Path | None
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)

    @property
    def sealed(self) -> bool:
        return not self.stopped

    @property
    def complete(self) -> bool:
        return self.sealed and all(entry["state"] in GOOD for entry in self.entries.values())

    def everything(self) -> None:
        """Read every endpoint that can be read now, and write down how it ended."""
        try:
            for endpoint in self.endpoints:
                self._endpoint(endpoint)
        except KeyboardInterrupt:
            self.context.transport.halt()
            self.stopped["run"] = "stopped by hand"
            self._manifest()
            raise
        except OSError as problem:
            raise HonestStop(
                f"Nothing more can be written to {self.context.folder} ({problem.strerror or problem}). "
                "What was read is kept; make room and run the same command again"
            ) from None
        self._manifest()
        if self.sealed:
            shutil.rmtree(self.context.folder / STATE, ignore_errors=True)

    def _endpoint(self, endpoint: Endpoint) -> None:
        blocked = self._blocked(endpoint)
        if blocked:
            self.stopped[endpoint.name] = blocked
            return
        try:
            self._read(endpoint)
        except (Interrupted, SignInError) as stop:
            self.stopped[endpoint.name] = str(stop)

    def _blocked(self, endpoint: Endpoint) -> str:
        """Why this must wait for another run: its service sent us away, or the list it hangs on is not there."""
        services = {e.name: e.service for e in self.endpoints}
        for name, reason in self.stopped.items():
            if name == endpoint.parent or services.get(name) == endpoint.service:
                return f"waits for {name}: {reason}"
        return ""

    def _read(self, endpoint: Endpoint) -> None:
        context = self.context
        if endpoint.service != "dataverse" and endpoint.service not in context.cloud.services:
            self.warnings.append(f"{endpoint.name}: the cloud {context.cloud.name} does not offer it")
        elif endpoint.unattended and not getattr(context.transport.tokens, "unattended", True):
            self.warnings.append(f"{endpoint.name}: only a sign-in without a person may list this; not asked for")
        elif endpoint.parent:
            self._each(endpoint)
        else:
            service = context.cloud.service(endpoint.service)
            entry = delta.read_since(context, endpoint, service, self.base) if self.base and endpoint.delta else None
            self._note(endpoint.name, entry or read_list(context, endpoint, service))

    def _each(self, endpoint: Endpoint) -> None:
        above = self.entries.get(endpoint.parent, {"state": "failed"})
        if above["state"] == "failed":
            reason = f"needs {endpoint.parent}, which could not be read"
            self._note(endpoint.name, {"kind": "each", "state": "failed", "items": 0, "reason": reason, "bytes": 0})
            return
        if endpoint.name in graph.MEMBERS:
            flows = "powerplatform/flow_permissions" in self.entries
            for name, entry in graph.read_groups(self.context, endpoint, flows=flows):
                self._note(name, entry)
            return
        found, notes = parents(self.context, endpoint)
        entry = read_each(self.context, endpoint, found)
        if notes:
            entry = {**entry, "state": "partial", "reason": notes[0], "warnings": [*entry["warnings"], *notes[:20]]}
        self._note(endpoint.name, entry)

    def _note(self, name: str, entry: dict[str, Any]) -> None:
        file = {"file": f"{name}.jsonl"} if entry["bytes"] else {}
        self.entries[name] = {**file, **entry}

    def _manifest(self) -> None:
        context = self.context
        context.disk.write(
            context.folder / "manifest.json",
            {
                "format": FORMAT,
                "version": 1,
                "program": flowanalysis.__version__,
                **self.request,
                "finished": context.clock.now().isoformat(timespec="seconds"),
                "complete": self.complete,
                "sealed": self.sealed,
                "collections": self.entries,
                "unfinished": self.stopped,
                "warnings": self.warnings,
            },
        )

    def sentence(self) -> str:
        """What is missing, in words."""
        gaps = [f"{name}: {reason}" for name, reason in self.stopped.items()]
        gaps += [f"{n}: {e['reason']}" for n, e in self.entries.items() if e["state"] not in GOOD]
        more = f" (and {len(gaps) - 5} more)" if len(gaps) > 5 else ""
        return f"{self.context.folder} is not complete: " + "; ".join(gaps[:5]) + more
