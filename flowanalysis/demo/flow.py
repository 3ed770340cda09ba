"""One flow of the demo tenant, before it becomes exports."""

from __future__ import annotations

from dataclasses import dataclass

RUNNER = "sp:flow-runner"  # the service principal that owns flows


@dataclass(frozen=True)
class Flow:
    """One flow.

    `owner` and `co_owners` are keys of accounts, ``sp:…`` service principals, ``group:…`` groups,
    ``list:…`` SharePoint lists. `runs_as` is the account of its connections; `on` gives other accounts for
    single connectors. `stages` says when it exists, `owner_before` who owned it in the first month.
    """

    key: str
    name: str
    environment: str
    recipe: str
    department: str
    owner: str
    co_owners: tuple[str, ...] = ()
    runs_as: str = ""
    on: tuple[tuple[str, str], ...] = ()
    solution: bool = True
    system_creator: bool = False
    state: str = "Started"
    stages: tuple[int, ...] = (0, 1)
    invoker: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    recipe_before: str = ""
    creator: str = ""

    @property
    def account(self) -> str:
        """Key of the account of its connections."""
        return self.runs_as or self.owner
