"""Rows of the Power Platform exports that ``generate.py`` writes: flows, their details, permissions, connections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from export_shapes import CONNECTORS, SEEN, SHORT, TENANT, TIERS, TITLES, chosen, shown_names, times
from export_text import fill, guids, joined, pick, take, text

World = Any  # generate.World: it draws, this module writes
FLOW_ID = "/providers/Microsoft.ProcessSimple/environments/<place>/flows/<id>"
ASKED = "providers/Microsoft.ProcessSimple/scopes/admin/environments/<place>/flows/<id>"
# The parts of a flow that the list and the detail share.
SHOWN = (
    '"name":"<id>","id":"' + FLOW_ID + '","type":"Microsoft.ProcessSimple/environments/flows",'
    '"properties":{"apiId":"/providers/Microsoft.PowerApps/apis/shared_logicflows","displayName":"<name>",'
    '"state":"<state>","createdTime":"<made>","lastModifiedTime":"<changed>","flowSuspensionReason":"None",'
    '"environment":{"name":"<place>","type":"Microsoft.ProcessSimple/environments","id":'
    '"/providers/Microsoft.ProcessSimple/environments/<place>"},"definitionSummary":{"triggers":[{<trigger>}],"actions":[]},"creator":{"tenantId":"'
    + TENANT
    + '","objectId":"<maker>","userId":"<maker>",'
    '"userType":"ActiveDirectory"},<solution>"flowFailureAlertSubscribed":false,"isManaged":false,'
    '"connectionReferences":{<references>}'
)
REFERENCE = (
    '"<alias>":{"connectionName":"<connection>",<logical>"source":"<source>",'
    '"id":"/providers/Microsoft.PowerApps/apis/<connector>","displayName":"<title>",'
    '"iconUri":"https://icons.example/<connector>.png","brandColor":"#036C70","swagger":null,"tier":"<tier>",'
    '"apiName":"<short>"}'
)
CONNECTION = (
    '{"name":"<id>","id":"/providers/Microsoft.PowerApps/scopes/admin/environments/<place>/apis/<connector>/'
    'connections/<id>","type":"Microsoft.PowerApps/scopes/admin/apis/connections","properties":{"apiId":'
    '"/providers/Microsoft.PowerApps/scopes/admin/environments/<place>/apis/<connector>","displayName":"<account>",'
    '"iconUri":"https://icons.example/<connector>.png","statuses":[<status>],"connectionParameters":{},'
    '"keywordsRemaining":100,"isDelegatedAuthConnection":false,"accountName":"<account>","createdBy":{"id":"<maker>",'
    '"displayName":"<name>","email":"<upn>","type":"User","tenantId":"' + TENANT + '","userPrincipalName":"<upn>"},'
    '"createdTime":"<made>","lastModifiedTime":"<changed>","expirationTime":"2026-10-31T21:00:00Z",'
    '"environment":{"id":"/providers/Microsoft.PowerApps/environments/<place>","name":"<place>"},'
    '"allowSharing":<shared>}}'
)
STATUS = (
    '{"status":"Connected"}',
    '{"status":"Error","target":"token","error":{"code":"Unauthorized","message":"Failed to refresh access token for '
    'service: aadcertificate. AADSTS50173: The provided grant has expired due to it being revoked."}}',
)
PERMISSION = (
    '{"name":"<who>","id":"' + FLOW_ID + '/permissions/<who>","type":'
    '"/providers/Microsoft.ProcessSimple/environments/flows/permissions","properties":{"roleName":"<role>",'
    '"permissionType":"Principal","principal":{"id":"<who>","type":"<sort>"}}}'
)
SHARE = (
    '{"request":"providers/Microsoft.PowerApps/scopes/admin/environments/<place>/apis/<connector>/connections/<id>/'
    'permissions?api-version=2016-11-01","status":200,"observed_at":"' + SEEN + '","body":{"value":[{"name":"<who>",'
    '"id":"/providers/Microsoft.PowerApps/scopes/admin/environments/<place>/apis/<connector>/connections/<id>/'
    'permissions/<who>","type":"Microsoft.PowerApps/scopes/apis/connections/permissions","properties":{"roleName":'
    '"CanView","principal":{"id":"<who>","type":"<sort>","tenantId":"' + TENANT + '"}}}]}}'
)
ENVIRONMENT = (
    '{"name":"<id>","id":"/providers/Microsoft.BusinessAppPlatform/scopes/admin/environments/<id>","type":'
    '"Microsoft.BusinessAppPlatform/scopes/environments","location":"europe","properties":{"displayName":"Place <n>",'
    '"environmentSku":"<sku>","isDefault":<default>,"createdTime":"2022-01-10T08:00:00Z","states":{"management":'
    '{"id":"Ready"}},"linkedEnvironmentMetadata":{"resourceId":"<org>","instanceUrl":"https://org<n>.crm.example/"}}}'
)
STATES = ("Started", "Stopped", "Suspended")
TRIGGERS = ('"type":"Recurrence"', '"type":"Request","kind":"Button"')
STARTS = ('"recurrence":{"frequency":"Day","interval":1}', '"inputs":{"schema":{"type":"object","properties":{}}}')
ACTION = (
    '"Step_<n>":{"runAfter":{},"type":"OpenApiConnection","inputs":{"host":{"connectionName":"<alias>",'
    '"operationId":"<operation>","apiId":"/providers/Microsoft.PowerApps/apis/<connector>"},'
    '"parameters":{<parameters>},"authentication":"@parameters(\'$authentication\')"}}'
)
OPERATIONS = (
    "PostItem",
    "SharedMailboxSendEmailV2",
    "PostMessageToConversation",
    "ListRecords",
    "StartAndWaitForAnApproval",
)
OPERATIONS += ("UserProfile_V2", "GetItems", "CreateFile", "GetItems_V2", "CreateTask_V3")
# Of the connectors that name a resource: which kind (site, list, mailbox, team).
TOUCHES = {0: 1, 1: 2, 2: 3}
PARAMETERS = (
    '"dataset":"<site>","table":"<inside>","item/Title":"Done"',
    '"emailMessage/MailboxAddress":"<mailbox>","emailMessage/To":"a@contoso.example","emailMessage/Subject":"News"',
    '"poster":"Flow bot","location":"Channel","body/recipient/groupId":"<inside>","body/recipient/channelId":"c1"',
)
OTHERS = {3: '"entityName":"accounts"', 4: '"approvalType":"Basic"', 5: '"id":"@triggerBody()"', 6: '"source":"me"'}
OTHERS |= {7: '"folderPath":"/"', 8: '"table":"[dbo].[orders]"', 9: '"groupId":"@triggerBody()"'}


def touched(world: World, rng: np.random.Generator) -> np.ndarray:
    """The resource that each reference's step names; any place where the connector names none."""
    out = np.zeros(len(world.connector), np.int64)
    for connector, kind in TOUCHES.items():
        rows = np.flatnonzero(world.connector == connector)
        pool = world.of_kind[kind]
        out[rows] = pool[(rng.random(len(rows)) ** 2 * len(pool)).astype(np.int64)]
    return out


def _references(world: World, low: int, high: int) -> pa.Array:
    """The references of the flows from `low` to `high`, one text a flow."""
    first, last = np.searchsorted(world.used, [low, high])
    sort, part = world.connector[first:last], slice(first, last)
    logical = fill('"connectionReferenceLogicalName":"cts_<c>_<n>",', c=pick(SHORT, sort), n=text(world.used[part]))
    none = pa.array([""] * len(sort), pa.large_string())
    rows = fill(
        REFERENCE,
        alias=_alias(world, part),
        connection=take(world.connections, world.connection[part]),
        logical=chosen([none, logical], world.solution[world.used[part]].astype(int)),
        source=pick(["Invoker", "Embedded"], world.embedded[part].astype(int)),
        connector=pick(CONNECTORS, sort),
        title=pick(TITLES, sort),
        tier=pick(TIERS, sort),
        short=pick([c.removeprefix("shared_") for c in CONNECTORS], sort),
    )
    return joined(rows, np.searchsorted(world.used[part], np.arange(low, high + 1)))


def _alias(world: World, part: slice) -> pa.Array:
    repeat = world.repeat[part]
    more = chosen(
        [fill("_<n>", n=text(repeat)), pa.array([""] * len(repeat), pa.large_string())], (repeat == 0).astype(int)
    )
    return fill("<c><more>", c=pick(CONNECTORS, world.connector[part]), more=more)


def _shown(world: World, part: slice) -> dict[str, pa.Array]:
    """The columns of flows; the same for the list and for the details."""
    at = np.arange(part.start, part.stop)
    solution = fill('"workflowEntityId":"<w>",', w=take(world.workflows, at))
    return {
        "id": world.flows[part],
        "place": take(world.environments, world.place[part]),
        "name": fill('Flow <n> of \\"Plant\\" – Prüfung', n=text(at)),
        "state": pick(STATES, world.state[part]),
        "made": world.made[part],
        "changed": world.changed[part],
        "trigger": pick(TRIGGERS, world.trigger[part]),
        "maker": take(world.people, world.maker[part]),
        "solution": chosen([pa.array([""] * len(at), pa.large_string()), solution], world.solution[part].astype(int)),
        "references": _references(world, part.start, part.stop),
    }


def draw(world: World, rng: np.random.Generator) -> None:
    """What flows look like, drawn once so that list and details say the same."""
    count = world.size.flows
    world.state = rng.choice(3, count, p=[0.8, 0.18, 0.02])
    world.trigger = rng.choice(2, count, p=[0.8, 0.2])
    world.made = times(rng, count, "2019-01-01", "2026-06-01")
    world.changed = times(rng, count, "2026-06-01", "2026-10-31")
    world.solution = rng.random(count) < 0.3
    world.workflows = guids(rng, count)


def flows(world: World, part: slice) -> pa.Array:
    """Rows of the flow list with connection references."""
    return fill("{" + SHOWN + "}}", **_shown(world, part))


def details(world: World, part: slice) -> pa.Array:
    """Answers of single flows, with the definition."""
    first, last = np.searchsorted(world.used, [part.start, part.stop])
    of, sort = slice(first, last), world.connector[first:last]
    place = world.touched[of]
    slots = {
        "site": take(world.site, place),
        "inside": take(world.inside, place),
        "mailbox": take(world.mailbox, place),
    }
    forms = [fill(form, **slots) for form in PARAMETERS]
    none = np.searchsorted(list(OTHERS), sort.clip(3))
    parameters = chosen([*forms, pick(list(OTHERS.values()), none)], sort.clip(0, 3))
    rows = fill(
        ACTION,
        n=text(np.arange(last - first)),
        alias=_alias(world, of),
        operation=pick(OPERATIONS, sort),
        connector=pick(CONNECTORS, sort),
        parameters=parameters,
    )
    actions = joined(rows, np.searchsorted(world.used[of], np.arange(part.start, part.stop + 1)))
    definition = (
        ',"definition":{"$schema":"https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/'
        'workflowdefinition.json#","contentVersion":"1.0.0.0","parameters":{"$connections":{"defaultValue":{},'
        '"type":"Object"},"$authentication":{"defaultValue":{},"type":"SecureObject"}},"triggers":{"Start":{'
        '<trigger>,<start>}},"actions":{<actions>}}'
    )
    form = '{"request":"' + ASKED + '","status":200,"observed_at":"' + SEEN + '","body":{' + SHOWN + definition + "}}}"
    return fill(form, actions=actions, start=pick(STARTS, world.trigger[part]), **_shown(world, part))


def permissions(world: World, part: slice) -> pa.Array:
    """One line a flow: the maker as owner, and those with whom the flow is shared."""
    rng, count = world.rng, part.stop - part.start
    extra = rng.poisson(0.6, count)
    flow = np.repeat(np.arange(count), extra + 1)
    first = np.r_[True, flow[1:] != flow[:-1]]
    kind, other, _ = world.actor(rng.random(len(flow)))
    maker = take(world.people, world.maker[part.start + flow])
    who = chosen([other, maker], first.astype(int))
    kind = np.where(first, 0, kind)
    ids, place = world.flows[part], take(world.environments, world.place[part])
    rows = fill(
        PERMISSION,
        who=who,
        id=take(ids, flow),
        place=take(place, flow),
        role=pick(["CanEdit", "Owner"], first.astype(int)),
        sort=pick(["User", "Group", "ServicePrincipal"], kind),
    )
    body = joined(rows, np.searchsorted(flow, np.arange(count + 1)))
    form = f'{{"request":"{ASKED}/permissions?api-version=2016-11-01","status":200,"observed_at":"{SEEN}",'
    return fill(form + '"body":{"value":[<rows>]}}', id=ids, place=place, rows=body)


def connections(world: World, part: slice) -> pa.Array:
    """Rows of the admin list of connections."""
    rng, count = world.rng, part.stop - part.start
    signed = world.signed[part]
    account = np.where(rng.random(count) < 0.05, rng.integers(0, world.service, count), signed)
    return fill(
        CONNECTION,
        id=world.connections[part],
        place=take(world.environments, world.home[part]),
        connector=pick(CONNECTORS, world.sort[part]),
        account=take(world.upns, account),
        status=pick(STATUS, (rng.random(count) < 0.05).astype(int)),
        maker=take(world.people, signed),
        upn=take(world.upns, signed),
        name=shown_names(signed, world.service)[0],
        made=times(rng, count, "2020-01-01", "2026-06-01"),
        changed=times(rng, count, "2026-06-01", "2026-10-31"),
        shared=pick(["true", "false"], (world.sort[part] % 2).astype(int)),
    )


def shares(world: World) -> pa.Array:
    """One of two hundred connections is shared, the first in any case; some with everybody."""
    rng = world.rng
    at = np.union1d(np.flatnonzero(rng.random(len(world.connections)) < 0.005), [0])
    kind, who, _ = world.actor(rng.random(len(at)))
    everybody = rng.random(len(at)) < 0.1
    all_of_them = pa.array([TENANT] * len(at), pa.large_string())
    return fill(
        SHARE,
        id=take(world.connections, at),
        place=take(world.environments, world.home[at]),
        connector=pick(CONNECTORS, world.sort[at]),
        who=chosen([who, all_of_them], everybody.astype(int)),
        sort=pick(["User", "Group", "ServicePrincipal", "Tenant"], np.where(everybody, 3, kind)),
    )


def environments(world: World) -> pa.Array:
    """Rows of the admin list of environments; the first is the default one."""
    count = len(world.environments)
    first = (np.arange(count) > 0).astype(int)
    return fill(
        ENVIRONMENT,
        id=world.environments,
        n=text(np.arange(count)),
        sku=pick(["Default", "Production", "Sandbox"], np.where(first, 1 + np.arange(count) % 2, 0)),
        default=pick(["true", "false"], first),
        org=pc.replace_substring_regex(world.environments, "^.", "a"),
    )
