"""Everything that flowanalysis raises on purpose.

::

    FlowAnalysisError
    ├── InputError               an export cannot be used as it is
    │   ├── UnknownExport        no reader recognises the file
    │   ├── BrokenExport         recognised or not, it cannot be read to its end
    │   ├── RefusedInput         read on would be dangerous (bomb, traversal, nesting)
    │   └── NothingToLoad        no file in the given places can be read
    ├── DefinitionError          a flow definition that cannot be understood
    ├── SnapshotError            a snapshot is incomplete, changed or of another version
    ├── UnknownName              a table, flow, account, rule or parameter that does not exist
    ├── PolicyError              policy, register or exceptions file is wrong
    ├── PlanError                a plan breaks what it must keep
    ├── ReportError              a report could not be rendered or verified
    └── CollectError             collecting from the tenant stopped
        ├── SignInError          no token
        ├── RefusedRequest       the transport will not send this
        └── HonestStop           what came back cannot be trusted; the rest is kept

Every message says what happened, where (file, record), and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlowAnalysisError(Exception):
    """Root of all errors that flowanalysis raises on purpose."""


class InputError(FlowAnalysisError):
    """An export cannot be used as it is.

    Parameters
    ----------
    what : str
        What is wrong, in plain words.
    where : str, optional
        File and record, such as ``users.json, record 17``.
    remedy : str, optional
        What the analyst can do about it.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}. {remedy}" if remedy else text)


class UnknownExport(InputError):
    """No reader recognises the file."""


class BrokenExport(InputError):
    """The file cannot be read to its end."""


class RefusedInput(InputError):
    """Reading on would be dangerous: a bomb, a traversal name, absurd nesting."""


class NothingToLoad(InputError):
    """No file in the given places can be read."""


class DefinitionError(InputError):
    """A flow definition that cannot be understood."""


class SnapshotError(InputError):
    """A snapshot is incomplete, was changed, or is of another version."""


class PolicyError(InputError):
    """The policy, register or exceptions file is wrong."""


class PlanError(FlowAnalysisError):
    """A plan breaks what it must keep."""


class ReportError(FlowAnalysisError):
    """A report could not be rendered or verified."""


class CollectError(FlowAnalysisError):
    """Collecting from the tenant stopped."""


class SignInError(CollectError):
    """No token could be had."""


class RefusedRequest(CollectError):
    """The transport will not send this request."""


class HonestStop(CollectError):
    """What came back cannot be trusted; what was read before is kept and marked incomplete."""


class UnknownName(FlowAnalysisError):
    """A table, flow, account, rule or parameter that does not exist, with the nearest that do.

    Examples
    --------
    >>> print(UnknownName("table", "flow", ["flows", "groups"]))
    There is no table 'flow'. Did you mean 'flows'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        near = difflib.get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        super().__init__(f"There is no {kind} {name!r}.{hint}{' ' + remedy if remedy else ''}")
