"""A provider with a real schema and no cloud: what it is asked to make, it says it has made.

It refuses what the schema refuses, values that the documentation does not list, attributes that only the cloud sets,
secrets without content, and the deletion of what is protected. What the cloud would make up (addresses, e-mails,
numbers) it makes up in the cloud's form, so that references can be followed by value once everything is applied.
"""

from __future__ import annotations

import json
import re
import secrets
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.terraform.plugin_protocol import MESSAGE, UNKNOWN, decoded, encoded, is_unknown, problem

Json = dict[str, Any]
PROJECT_NUMBER = "123456789012"
_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
_FLAGS = ("required", "optional", "computed", "sensitive", "write_only")
# Attributes of a state in the cloud's own form; `{attribute}` is another attribute of the same state. An attribute
# that is missing here gets a value that says nothing.
_SERVICE_ACCOUNT = "{account_id}@{project}.iam.gserviceaccount.com"
_FORMS: dict[str, dict[str, str]] = {
    "google_artifact_registry_repository": {
        "id": "projects/{project}/locations/{location}/repositories/{repository_id}",
        "registry_uri": "{location}-docker.pkg.dev/{project}/{repository_id}",
    },
    "google_cloud_run_v2_job": {"id": "projects/{project}/locations/{location}/jobs/{name}"},
    "google_cloud_run_v2_service": {
        "id": "projects/{project}/locations/{location}/services/{name}",
        "uri": "https://{name}-abc123-ew.a.run.app",
    },
    "google_compute_network": {
        "id": "projects/{project}/global/networks/{name}",
        "self_link": "https://www.googleapis.com/compute/v1/projects/{project}/global/networks/{name}",
    },
    "google_compute_subnetwork": {"id": "projects/{project}/regions/{region}/subnetworks/{name}"},
    "google_monitoring_alert_policy": {"id": "projects/{project}/alertPolicies/{display_name}"},
    "google_monitoring_notification_channel": {"id": "projects/{project}/notificationChannels/{display_name}"},
    "google_pubsub_schema": {"id": "projects/{project}/schemas/{name}"},
    "google_pubsub_subscription": {"id": "projects/{project}/subscriptions/{name}"},
    "google_pubsub_topic": {"id": "projects/{project}/topics/{name}"},
    "google_secret_manager_secret": {
        "id": "projects/{project}/secrets/{secret_id}",
        "name": "projects/{project}/secrets/{secret_id}",
    },
    "google_secret_manager_secret_version": {
        "id": "{secret}/versions/1",
        "name": "{secret}/versions/1",
        "version": "1",
    },
    "google_service_account": {
        "email": _SERVICE_ACCOUNT,
        "id": f"projects/{{project}}/serviceAccounts/{_SERVICE_ACCOUNT}",
        "member": f"serviceAccount:{_SERVICE_ACCOUNT}",
        "name": f"projects/{{project}}/serviceAccounts/{_SERVICE_ACCOUNT}",
    },
    "google_sql_database_instance": {
        "connection_name": "{project}:{region}:{name}",
        "id": "{name}",
        "private_ip_address": "10.32.0.3",
        "self_link": "https://sqladmin.googleapis.com/sql/v1beta4/projects/{project}/instances/{name}",
    },
    "google_storage_bucket": {"id": "{name}", "url": "gs://{name}"},
    "data.google_project": {"number": PROJECT_NUMBER, "id": "projects/{project_id}"},
    "data.google_storage_project_service_account": {
        "email_address": f"service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
        "member": f"serviceAccount:service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
    },
    "ephemeral.google_secret_manager_secret_version": {"secret_data": "stored in {secret}"},
}
_PROTECTED = {
    "google_cloud_run_v2_job": "deletion_protection",
    "google_cloud_run_v2_service": "deletion_protection",
    "google_sql_database_instance": "deletion_protection",
}
Make = Callable[[str, Any, Json], Any]


class ProviderStub:
    """One provider, whose procedures are those of the plugin protocol.

    Attributes:
        written: what was sent and is never told again, by ``(type, attribute, what it belongs to)``.
        away: types that cannot be made just now.
    """

    def __init__(self, schema: Json) -> None:
        """``schema`` is the provider's part of ``provider_schemas.json``."""
        self._resources: Json = schema["resource_schemas"]
        self._data: Json = schema["data_source_schemas"]
        self._ephemeral: Json = schema["ephemeral_resource_schemas"]
        self._configuration: Json = {}
        self.written: dict[tuple[str, str, str], str] = {}
        self.away: set[str] = set()

        def entries(schemas: Json) -> list[Any]:
            return [MESSAGE["SchemaEntry"](key=name, value=_schema_message(one)) for name, one in schemas.items()]

        # Terraform asks several times a command.
        self._told_schema = MESSAGE["SchemaResponse"](
            provider=_schema_message(schema["provider"]),
            resource_schemas=entries(self._resources),
            data_source_schemas=entries(self._data),
            ephemeral_resource_schemas=entries(self._ephemeral),
        )

    # ------------------------------------------------------------ schema and configuration

    def GetProviderSchema(self, _: Any) -> Any:  # noqa: N802
        return self._told_schema

    def ValidateProviderConfig(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["ValidateConfigResponse"]()

    def ConfigureProvider(self, request: Any) -> Any:  # noqa: N802
        self._configuration = decoded(request.config) or {}
        return MESSAGE["DiagnosticsResponse"]()

    def ValidateResourceConfig(self, request: Any) -> Any:  # noqa: N802
        found = _config_problems(self._resources[request.type_name]["block"], decoded(request.config))
        return MESSAGE["DiagnosticsResponse"](diagnostics=list(found))

    def ValidateDataResourceConfig(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["DiagnosticsResponse"]()

    def ValidateEphemeralResourceConfig(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["DiagnosticsResponse"]()

    # ------------------------------------------------------------ resources

    def UpgradeResourceState(self, request: Any) -> Any:  # noqa: N802
        block = self._resources[request.type_name]["block"]
        state = json.loads(request.raw_state.json)
        members = [*block.get("attributes", {}), *block.get("block_types", {})]
        return MESSAGE["StateResponse"](state=encoded({name: state.get(name) for name in members}))

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        return MESSAGE["StateResponse"](state=request.current_state)

    def PlanResourceChange(self, request: Any) -> Any:  # noqa: N802
        proposed = decoded(request.proposed_new_state)
        block = self._resources[request.type_name]["block"]
        if proposed is not None:
            self._inherit(block, proposed)
            _forget_write_only(block, proposed)
            _fill(block, proposed, lambda *_: UNKNOWN)
        return MESSAGE["PlanResponse"](planned_state=encoded(proposed), legacy_type_system=True)

    def ApplyResourceChange(self, request: Any) -> Any:  # noqa: N802
        kind, prior, planned = request.type_name, decoded(request.prior_state), decoded(request.planned_state)
        refusals = []
        if planned is None and prior.get(_PROTECTED.get(kind, "")) is True:
            refusals.append(
                problem(f"cannot destroy {kind} without setting {_PROTECTED[kind]}=false", _PROTECTED[kind])
            )
        if kind in self.away:
            refusals.append(problem(f"{kind} is away: try again"))
        elif planned is not None:
            refusals += self._keep_write_only(kind, decoded(request.config), prior)
            _settle(self._resources[kind]["block"], planned, self._made_up(kind))
        state = prior if refusals else planned
        return MESSAGE["ApplyResponse"](new_state=encoded(state), diagnostics=refusals, legacy_type_system=True)

    # ------------------------------------------------------------ data and ephemeral resources

    def ReadDataSource(self, request: Any) -> Any:  # noqa: N802
        block, state = self._data[request.type_name]["block"], decoded(request.config)
        self._inherit(block, state)
        _fill(block, state, self._made_up(f"data.{request.type_name}"))
        return MESSAGE["StateResponse"](state=encoded(state))

    def OpenEphemeralResource(self, request: Any) -> Any:  # noqa: N802
        block, state = self._ephemeral[request.type_name]["block"], decoded(request.config)
        if request.type_name == "random_password":
            state["result"] = secrets.token_hex(state["length"])[: state["length"]]
        _fill(block, state, self._made_up(f"ephemeral.{request.type_name}"))
        secret = self.written.get(("google_secret_manager_secret_version", "secret_data_wo", str(state.get("secret"))))
        if request.type_name == "google_secret_manager_secret_version" and secret is not None:
            state["secret_data"] = secret
        return MESSAGE["OpenResponse"](result=encoded(state))

    def CloseEphemeralResource(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["DiagnosticsResponse"]()

    def GetFunctions(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["Empty"]()

    def StopProvider(self, _: Any) -> Any:  # noqa: N802
        return MESSAGE["Empty"]()

    # ------------------------------------------------------------ parts

    def _inherit(self, block: Json, state: Json) -> None:
        """What is not said is the provider's: project, region, default labels."""
        attributes = block.get("attributes", {})
        for name in ("project", "region"):
            if attributes.get(name, {}).get("computed") and state.get(name) is None:
                state[name] = self._configuration.get(name)
        if "effective_labels" in attributes:
            own = state.get("labels")
            labels = {} if is_unknown(own) else {**(self._configuration.get("default_labels") or {}), **(own or {})}
            state["effective_labels"] = state["terraform_labels"] = labels

    def _keep_write_only(self, kind: str, config: Json, prior: Json | None) -> list[Any]:
        refusals = []
        for name, attribute in self._resources[kind]["block"].get("attributes", {}).items():
            version = f"{name}_version"
            changed = prior is None or prior.get(version) != config.get(version)
            if not attribute.get("write_only") or not changed or config.get(version) is None:
                continue
            if not config.get(name):
                refusals.append(problem(f"{kind} needs content for {name}", name))
                continue
            owner = config.get("secret") or config.get("name") or ""
            self.written[kind, name, str(owner)] = config[name]
        return refusals

    def _made_up(self, kind: str) -> Make:
        """What the cloud would have made up."""

        def make(name: str, declared: Any, state: Json) -> Any:
            form = _FORMS.get(kind, {}).get(name)
            if form is not None:
                return re.sub(r"\{(\w+)\}", lambda match: str(state.get(match[1])), form)
            if declared == "string":
                return f"made-up-{name}-{zlib.crc32(json.dumps(state, default=str).encode()):08x}"
            if isinstance(declared, list):
                return {"map": {}, "object": None}.get(declared[0], [])
            return {"number": 1, "bool": False}.get(declared)

        return make


def _schema_message(schema: Json) -> Any:
    return MESSAGE["Schema"](version=schema["version"], block=_block_message(schema["block"]))


def _block_message(block: Json) -> Any:
    return MESSAGE["Block"](
        attributes=[
            MESSAGE["Attribute"](
                name=name,
                type=json.dumps(attribute["type"]).encode(),
                **{flag: True for flag in _FLAGS if attribute.get(flag)},
            )
            for name, attribute in block.get("attributes", {}).items()
        ],
        block_types=[
            MESSAGE["NestedBlock"](
                type_name=name,
                block=_block_message(nested["block"]),
                nesting=_NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in block.get("block_types", {}).items()
        ],
    )


def _children(nested: Json, value: Any) -> list[Json]:
    """The objects in a nested block's value, whatever its nesting."""
    if value is None or is_unknown(value):
        return []
    if nested["nesting_mode"] == "single":
        return [value]
    return [child for child in value if child is not None and not is_unknown(child)]


def _config_problems(block: Json, value: Json, path: tuple[str | int, ...] = ()) -> Iterator[Any]:
    for name, attribute in block.get("attributes", {}).items():
        given = value.get(name)
        if given is None:
            continue
        if not (attribute.get("optional") or attribute.get("required")):
            yield problem(f"{name} is set by the cloud", *path, name)
        allowed = attribute.get("values")
        if allowed and isinstance(given, str) and given and given not in allowed:
            yield problem(f"expected {name} to be one of {', '.join(allowed)}, got {given}", *path, name)
    for name, nested in block.get("block_types", {}).items():
        for number, child in enumerate(_children(nested, value.get(name))):
            place = (*path, name, number) if nested["nesting_mode"] == "list" else (*path, name)
            yield from _config_problems(nested["block"], child, place)


def _fill(block: Json, state: Json, make: Make) -> None:
    """Give every computed attribute that has no value one."""
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and state.get(name) is None and not attribute.get("write_only"):
            state[name] = make(name, attribute["type"], state)
    for name, nested in block.get("block_types", {}).items():
        for child in _children(nested, state.get(name)):
            _fill(nested["block"], child, make)


def _settle(block: Json, state: Json, make: Make) -> None:
    """Give everything that was to be known after apply its value."""
    for name, attribute in block.get("attributes", {}).items():
        if is_unknown(state.get(name)):
            state[name] = make(name, attribute["type"], state)
    _forget_write_only(block, state)
    for name, nested in block.get("block_types", {}).items():
        for child in _children(nested, state.get(name)):
            _settle(nested["block"], child, make)


def _forget_write_only(block: Json, state: Json) -> None:
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("write_only"):
            state[name] = None
    for name, nested in block.get("block_types", {}).items():
        for child in _children(nested, state.get(name)):
            _forget_write_only(nested["block"], child)
