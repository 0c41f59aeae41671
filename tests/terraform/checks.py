"""What has to hold of everything that was applied, by value: each check yields a sentence for each thing that is wrong.

They are kept apart from pytest so that the seeded mistakes (`mistakes.py`) are held against the very same checks.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from functions.admin.settings import AdminSettings
from functions.callback import gauges
from functions.callback.settings import CallbackSettings
from functions.cluster.settings import ClusterSettings
from functions.detect.settings import DetectSettings
from shared.bus import load_bus
from shared.contracts import MESSAGES, StorageNotification, Tick
from shared.settings import Settings
from tests.terraform.dockerfile import IMAGE_VARIABLES
from tests.terraform.provider_schema import ROOT
from tests.terraform.provider_stub import PROJECT_NUMBER
from tests.terraform.workspace import Applied

Json = dict[str, Any]
Problems = Iterator[str]

SETTINGS: dict[str, type[Settings]] = {
    "admin": AdminSettings,
    "callback": CallbackSettings,
    "cluster": ClusterSettings,
    "detect": DetectSettings,
}
# functions-framework's own: requests that one process serves at a time.
FRAMEWORK_VARIABLES = {"THREADS"}
_PUBSUB_AGENT = f"serviceAccount:service-{PROJECT_NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"
_STORAGE_AGENT = f"serviceAccount:service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# What Postgres and Cloud SQL keep for themselves, and a migration, a replay and a person beside the functions.
_OTHER_CONNECTIONS = 12
# Google frees the addresses of an instance only some time after it is gone.
_ADDRESSES_PER_INSTANCE = 2


@dataclass(frozen=True)
class Given:
    """What was applied: variables, the secrets' values, what the stub was sent, and which resource waits for which."""

    variables: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return str(self.variables["project_id"])

    @property
    def region(self) -> str:
        return str(self.variables.get("region", "europe-west1"))

    @property
    def is_external(self) -> bool:
        return bool(self.variables.get("database", {}).get("external"))

    @property
    def is_complete(self) -> bool:
        """Whether every optional value was given, so that every variable of a function is set."""
        return bool(self.variables.get("signed_callback"))


Check = Callable[[Applied, Given], Problems]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register a check under its own name."""
    CHECKS[function.__name__] = function
    return function


def problems(applied: Applied, given: Given) -> dict[str, list[str]]:
    """Everything that is wrong, by check."""
    found = {name: list(one(applied, given)) for name, one in CHECKS.items()}
    return {name: wrong for name, wrong in found.items() if wrong}


# ---------------------------------------------------------------- parts of the state


def services(applied: Applied) -> dict[str, Json]:
    """The Cloud Run services by what they are called in `terraform/`: admin, callback, …"""
    return {
        address.removeprefix('this["').removesuffix('"]'): service
        for address, service in applied.resources["google_cloud_run_v2_service"].items()
    }


def function_of(name: str) -> str:
    """The function whose image and settings a service has."""
    return "callback" if name == "signed-callback" else name


def container(service: Json) -> Json:
    """A service's one container."""
    (made,) = service["template"][0]["containers"]
    return dict(made)


def plain_variables(made: Json) -> dict[str, str]:
    """A container's environment, without what comes from secrets."""
    return {variable["name"]: variable["value"] for variable in made["env"] if not variable["value_source"]}


def secret_variables(made: Json) -> dict[str, Json]:
    """A container's environment that comes from secrets: by name, ``{secret, version}``."""
    return {
        variable["name"]: variable["value_source"][0]["secret_key_ref"][0]
        for variable in made["env"]
        if variable["value_source"]
    }


def job_container(job: Json) -> Json:
    """A job's one container."""
    (made,) = job["template"][0]["template"][0]["containers"]
    return dict(made)


def readers_of_secrets(applied: Applied) -> Iterator[tuple[str, str, Json]]:
    """Everything that reads secrets: its name, its account, its container."""
    for name, service in services(applied).items():
        yield name, service["template"][0]["service_account"], container(service)
    for job in applied.all("google_cloud_run_v2_job"):
        yield job["name"], job["template"][0]["template"][0]["service_account"], job_container(job)


def account(applied: Applied, name: str) -> str:
    """The e-mail of a service account."""
    (found,) = [one["email"] for one in applied.all("google_service_account") if one["account_id"] == f"trombi-{name}"]
    return str(found)


# ---------------------------------------------------------------- the bus


@check
def topics_are_the_declared_ones(applied: Applied, given: Given) -> Problems:
    bus = load_bus()
    topics = {topic["name"]: topic for topic in applied.all("google_pubsub_topic")}
    if set(topics) != set(bus.topic_names()):
        yield f"topics are {sorted(topics)}, bus.json declares {sorted(bus.topic_names())}"
    typed = {message.topic for message in MESSAGES}
    schemas = {schema["id"] for schema in applied.all("google_pubsub_schema")}
    for name, topic in topics.items():
        if topic["message_retention_duration"] != f"{bus.message_retention_seconds}s":
            yield f"{name} retains messages for {topic['message_retention_duration']}"
        if [policy["allowed_persistence_regions"] for policy in topic["message_storage_policy"]] != [[given.region]]:
            yield f"messages of {name} may leave the region"
        used = [settings["schema"] for settings in topic["schema_settings"]]
        if name in typed and (not set(used) & schemas or topic["schema_settings"][0]["encoding"] != "JSON"):
            yield f"{name} takes anything: it has no schema, or does not read it as JSON"
        if name not in typed and used:
            yield f"{name} has a schema that what is published there does not follow"


@check
def subscriptions_are_the_declared_ones(applied: Applied, given: Given) -> Problems:
    bus = load_bus()
    found = {subscription["name"]: subscription for subscription in applied.all("google_pubsub_subscription")}
    declared = {subscription.name: subscription for subscription in bus.subscriptions()}
    if set(found) != set(declared):
        yield f"subscriptions are {sorted(found)}, bus.json declares {sorted(declared)}"
    uris = {name: service["uri"] for name, service in services(applied).items()}
    for name in set(found) & set(declared):
        is_, wanted = found[name], declared[name]
        policy = is_["dead_letter_policy"]
        topics = f"projects/{given.project}/topics"
        comparisons = {
            "topic": (is_["topic"], f"{topics}/{wanted.topic}"),
            "address": (is_["push_config"][0]["push_endpoint"], uris[wanted.function] + wanted.path),
            "ack deadline": (is_["ack_deadline_seconds"], wanted.ack_deadline_seconds),
            "shortest backoff": (
                is_["retry_policy"][0]["minimum_backoff"],
                f"{wanted.retry.minimum_backoff_seconds}s",
            ),
            "longest backoff": (is_["retry_policy"][0]["maximum_backoff"], f"{wanted.retry.maximum_backoff_seconds}s"),
            "retention": (is_["message_retention_duration"], f"{bus.message_retention_seconds}s"),
            "expiration": ([policy["ttl"] for policy in is_["expiration_policy"]], [""]),
            "dead-letter topic": (
                policy[0]["dead_letter_topic"] if policy else None,
                f"{topics}/{wanted.dead_letter_topic}" if wanted.dead_letter_topic else None,
            ),
            "delivery attempts": (policy[0]["max_delivery_attempts"] if policy else None, wanted.max_delivery_attempts),
        }
        for what, (has, should) in comparisons.items():
            if has != should:
                yield f"{name}: {what} is {has}, bus.json declares {should}"


@check
def limits_of_pubsub_are_kept(applied: Applied, _: Given) -> Problems:
    for subscription in applied.all("google_pubsub_subscription"):
        if not 10 <= subscription["ack_deadline_seconds"] <= 600:
            yield f"{subscription['name']}: an ack deadline is 10 to 600 s"
        for policy in subscription["dead_letter_policy"]:
            if not 10 <= policy["max_delivery_attempts"] <= 100:
                yield f"{subscription['name']}: attempts are 5 to 100, and a burst of refusals uses up fewer than 10"
        for policy in subscription["retry_policy"]:
            if not 0 <= int(policy["minimum_backoff"][:-1]) <= int(policy["maximum_backoff"][:-1]) <= 600:
                yield f"{subscription['name']}: a backoff is 0 to 600 s"


@check
def dead_letters_can_move_and_are_kept(applied: Applied, given: Given) -> Problems:
    watched = {subscription["topic"] for subscription in applied.all("google_pubsub_subscription")}
    publishes = {
        binding["topic"]
        for binding in applied.all("google_pubsub_topic_iam_member")
        if (binding["role"], binding["member"]) == ("roles/pubsub.publisher", _PUBSUB_AGENT)
    }
    acknowledges = {
        binding["subscription"]
        for binding in applied.all("google_pubsub_subscription_iam_member")
        if (binding["role"], binding["member"]) == ("roles/pubsub.subscriber", _PUBSUB_AGENT)
    }
    for subscription in applied.all("google_pubsub_subscription"):
        for policy in subscription["dead_letter_policy"]:
            if policy["dead_letter_topic"] not in watched:
                yield f"nobody keeps the dead letters of {subscription['name']}"
            if not policy["dead_letter_topic"].endswith(load_bus().dead_letter.topic_suffix):
                yield f"the dead letters of {subscription['name']} come back to it"
    topics = f"projects/{given.project}/topics"
    for declared in load_bus().subscriptions():
        own = f"projects/{given.project}/subscriptions/{declared.name}"
        if declared.dead_letter_topic is not None and own not in acknowledges:
            yield f"Pub/Sub may not take dead letters from {declared.name}"
        if declared.dead_letter_topic is not None and f"{topics}/{declared.dead_letter_topic}" not in publishes:
            yield f"Pub/Sub may not publish the dead letters of {declared.name}"


@check
def pushes_are_signed_and_let_in(applied: Applied, _: Given) -> Problems:
    by_uri = {service["uri"]: service for service in services(applied).values()}
    let_in = {
        (binding["name"], binding["member"])
        for binding in applied.all("google_cloud_run_v2_service_iam_member")
        if binding["role"] == "roles/run.invoker"
    }
    for subscription in applied.all("google_pubsub_subscription"):
        for push in subscription["push_config"]:
            if not push["oidc_token"]:
                yield f"{subscription['name']} pushes without a token"
                continue
            (token,) = push["oidc_token"]
            if token["audience"] not in by_uri or not push["push_endpoint"].startswith(token["audience"] + "/"):
                yield f"{subscription['name']} signs for {token['audience']}, which is not where it pushes"
                continue
            if (by_uri[token["audience"]]["name"], f"serviceAccount:{token['service_account_email']}") not in let_in:
                yield f"{subscription['name']} pushes as {token['service_account_email']}, which may not invoke it"
    agents = {
        (binding["service_account_id"].split("/")[-1], binding["role"], binding["member"])
        for binding in applied.all("google_service_account_iam_member")
    }
    if agents != {(account(applied, "push"), "roles/iam.serviceAccountTokenCreator", _PUBSUB_AGENT)}:
        yield f"who may sign as whom is {sorted(agents)}"


@check
def publishers_are_who_has_to(applied: Applied, given: Given) -> Problems:
    names = [topic.name for topic in load_bus().topics]
    outbox = {message.topic for message in MESSAGES} - {Tick.topic}
    wanted = {(topic, f"serviceAccount:{account(applied, function)}") for topic in outbox for function in SETTINGS}
    wanted |= {(topic, f"serviceAccount:{account(applied, 'replay')}") for topic in names}
    wanted.add((StorageNotification.topic, _STORAGE_AGENT))
    wanted |= {(load_bus().dead_letter_topic(topic), _PUBSUB_AGENT) for topic in names}
    found = {
        (binding["topic"].split("/")[-1], binding["member"])
        for binding in applied.all("google_pubsub_topic_iam_member")
        if binding["role"] == "roles/pubsub.publisher"
    }
    for topic, member in sorted(wanted - found):
        yield f"{member} may not publish to {topic}"
    for topic, member in sorted(found - wanted):
        yield f"{member} may publish to {topic} and has no need to"


@check
def ticks_are_ticks(applied: Applied, given: Given) -> Problems:
    for job in applied.all("google_cloud_scheduler_job"):
        (target,) = job["pubsub_target"]
        if job["schedule"] != "* * * * *":
            yield f"a tick comes at {job['schedule']}, not every minute"
        if target["topic_name"] != f"projects/{given.project}/topics/{Tick.topic}":
            yield f"ticks go to {target['topic_name']}"
        try:
            Tick.parse(base64.b64decode(target["data"] or ""), target["attributes"] or {})
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the finding
            yield f"the scheduler's message is no tick: {error}"
        if job["attempt_deadline"] and not job["attempt_deadline"].startswith("made-up"):
            yield "an attempt deadline on a Pub/Sub target is a difference in every plan"
    if len(applied.all("google_cloud_scheduler_job")) != 1:
        yield "there is not just one tick"


# ---------------------------------------------------------------- functions


@check
def requests_end_before_their_message_comes_again(applied: Applied, _: Given) -> Problems:
    deadlines: dict[str, list[int]] = {}
    for subscription in load_bus().subscriptions():
        deadlines.setdefault(subscription.function, []).append(subscription.ack_deadline_seconds)
    for name, service in services(applied).items():
        seconds = int(service["template"][0]["timeout"].removesuffix("s"))
        shortest = min(deadlines.get(function_of(name), [3600]))
        if not shortest * 0.8 <= seconds < shortest and name != "admin":
            yield f"{name} may take {seconds} s, its messages come again after {shortest} s"
        if name == "admin" and not 60 <= seconds <= 600:
            yield f"admin may take {seconds} s"


@check
def environments_are_what_the_settings_read(applied: Applied, given: Given) -> Problems:
    for name, service in services(applied).items():
        function = function_of(name)
        settings = SETTINGS[function]
        made = container(service)
        plain, secret = plain_variables(made), set(secret_variables(made))
        given_by_image = IMAGE_VARIABLES.get(function, {})
        read = {field.upper() for field in settings.model_fields} - set(given_by_image) - FRAMEWORK_VARIABLES
        has = (set(plain) | secret) - FRAMEWORK_VARIABLES
        required = {field.upper() for field, one in settings.model_fields.items() if one.is_required()} - set(
            given_by_image
        )
        missing = (read if given.is_complete else required) - has
        if missing:
            yield f"{name} reads {', '.join(sorted(missing))}, which nobody sets"
        if has - read:
            yield f"{name} is given {', '.join(sorted(has - read))}, which it does not read"
        if len(made["env"]) != len(plain) + len(secret):
            yield f"{name} is given a variable twice"
        hidden = {field.upper() for field, one in settings.model_fields.items() if not one.repr} | {"DATABASE_URL"}
        if set(plain) & hidden:
            yield f"{name}: {', '.join(sorted(set(plain) & hidden))} stands in the open"
        sent = _sent_secrets(made, given)
        try:
            settings.model_validate(
                {variable.lower(): value for variable, value in {**given_by_image, **plain, **sent}.items()}
            )
        except ValueError as error:
            yield f"{name} would not start: {error}"


def _sent_secrets(made: Json, given: Given) -> dict[str, str]:
    """The values of a container's secrets, as they were sent."""
    values = {
        owner.split("/")[-1]: value
        for (kind, _, owner), value in given.written.items()
        if kind == "google_secret_manager_secret_version"
    }
    return {name: values.get(read["secret"], "") for name, read in secret_variables(made).items()}


@check
def defaults_are_those_of_the_settings(applied: Applied, given: Given) -> Problems:
    """What an operator does not change is what the emulated cloud runs with."""
    chosen = {"DATABASE_POOL_SIZE", "LOG_LEVEL", *FRAMEWORK_VARIABLES}
    for name, service in services(applied).items():
        plain = plain_variables(container(service))
        for variable, one in SETTINGS[function_of(name)].model_fields.items():
            value = plain.get(variable.upper())
            untouched = not given.is_complete and variable.upper() not in chosen
            if value is None or one.is_required() or one.default in (None, "") or not untouched:
                continue
            if isinstance(one.default, bool):
                if value != str(one.default).lower():
                    yield f"{name}: {variable.upper()} is {value}, the function's own default {one.default}"
            elif isinstance(one.default, int | float):
                if float(value) != one.default:
                    yield f"{name}: {variable.upper()} is {value}, the function's own default {one.default}"
            elif isinstance(one.default, str) and value != one.default:
                yield f"{name}: {variable.upper()} is {value}, the function's own default {one.default}"


@check
def functions_are_run_as_they_need(applied: Applied, given: Given) -> Problems:
    for name, service in services(applied).items():
        (template,) = service["template"]
        made = container(service)
        limits = made["resources"][0]["limits"]
        plain = plain_variables(made)
        (scaling,) = template["scaling"]
        if not _DIGEST.search(made["image"]) or made["image"] != given.variables["images"][function_of(name)]:
            yield f"{name} runs {made['image']}, not the image of {function_of(name)} by digest"
        yield from _probe(name, made)
        if plain.get("THREADS") != str(template["max_instance_request_concurrency"]):
            yield f"{name} is given more requests than it serves at a time, or fewer"
        if function_of(name) == "cluster" and template["max_instance_request_concurrency"] > 2:
            yield f"{name} computes: more requests at a time only make each of them slower"
        if function_of(name) == "detect":
            yield from _places(name, template["max_instance_request_concurrency"], plain)
        if not 0 <= scaling["min_instance_count"] <= scaling["max_instance_count"] <= 100:
            yield f"{name} scales from {scaling['min_instance_count']} to {scaling['max_instance_count']}"
        if template["execution_environment"] != "EXECUTION_ENVIRONMENT_GEN2":
            yield f"{name} is not in the second generation's environment"
        if made["resources"][0]["startup_cpu_boost"] is not True:
            yield f"{name} starts without the processor's boost"
        if service["deletion_protection"] is not given.variables.get("deletion_protection", True):
            yield f"{name} may be deleted"
        yield from _accelerator(name, template, made, limits, given)


def _places(name: str, requests: int, plain: Mapping[str, str]) -> Problems:
    places = int(plain["FACE_PHOTOS_AT_ONCE"]) + int(plain["FACE_PHOTOS_WAITING"])
    if requests <= places:
        yield f"{name} has {places} places and no request more: it could not say that they are taken"
    if requests > places * 2:
        yield f"{name} has {places} places: so many more requests would only be refused"


def _probe(name: str, made: Json) -> Problems:
    probe = made["startup_probe"][0] if made["startup_probe"] else None
    if probe is None or [http["path"] for http in probe["http_get"]] != ["/healthz"]:
        yield f"{name} takes requests before it is ready"
    elif probe["timeout_seconds"] > probe["period_seconds"] or probe["period_seconds"] > 5:
        yield f"{name}: its probe would be refused, or finds it ready late"


def _accelerator(name: str, template: Json, made: Json, limits: Json, given: Given) -> Problems:
    wanted = given.variables.get("gpu") if name == "detect" else None
    if [selector["accelerator"] for selector in template["node_selector"]] != ([wanted] if wanted else []):
        yield f"{name} asks for another accelerator than {wanted}"
    if made["resources"][0]["cpu_idle"] is not (wanted is None):
        yield f"{name}: its processor is billed all the time, or a GPU's is not"
    if (limits.get("nvidia.com/gpu") == "1") is not (wanted is not None):
        yield f"{name}: the limit of GPUs is {limits.get('nvidia.com/gpu')}"
    if wanted and (int(limits["cpu"]) < 4 or int(limits["memory"].removesuffix("Gi")) < 16):
        yield f"{name}: a GPU needs 4 processors and 16 GiB beside it"
    if wanted and template["gpu_zonal_redundancy_disabled"] is not True:
        yield f"{name}: GPUs are reserved in a second zone and paid for"


@check
def nothing_is_public_but_admin(applied: Applied, given: Given) -> Problems:
    allowed = {"admin"} | ({"signed-callback"} if given.variables.get("signed_callback") else set())
    names = {service["name"]: name for name, service in services(applied).items()}
    public = set()
    for kind, bindings in applied.resources.items():
        for address, binding in bindings.items():
            if "_iam_" in kind and binding.get("member") in ("allUsers", "allAuthenticatedUsers"):
                if kind != "google_cloud_run_v2_service_iam_member" or binding["role"] != "roles/run.invoker":
                    yield f"{kind}.{address} is open to everybody"
                else:
                    public.add(names[binding["name"]])
    if public != allowed:
        yield f"open to everybody are {sorted(public)}, they should be {sorted(allowed)}"
    for name, service in services(applied).items():
        wanted = "INGRESS_TRAFFIC_ALL" if name in allowed else "INGRESS_TRAFFIC_INTERNAL_ONLY"
        if service["ingress"] != wanted:
            yield f"{name} has ingress {service['ingress']}"
        arguments = container(service)["args"] or []
        if name == "signed-callback" and arguments[:3] != ["functions-framework", "--target", "signed"]:
            yield "signed-callback answers more than the signed entry"
        if name != "signed-callback" and arguments:
            yield f"{name} is not started as its image says"


@check
def every_function_is_somebody_of_its_own(applied: Applied, _: Given) -> Problems:
    emails = {one["email"] for one in applied.all("google_service_account")}
    used: dict[str, set[str]] = {}
    for name, email, _container in readers_of_secrets(applied):
        used.setdefault(email, set()).add(function_of(name))
        if email not in emails:
            yield f"{name} runs as {email}"
    for email, names in used.items():
        if len(names) != 1:
            yield f"{', '.join(sorted(names))} share {email}"
    if account(applied, "push") in used:
        yield "a function runs as the one who pushes"


@check
def roles_are_least(applied: Applied, given: Given) -> Problems:
    for kind, bindings in applied.resources.items():
        for address, binding in bindings.items():
            if "_iam_" not in kind:
                continue
            if kind.startswith("google_project_iam"):
                yield f"{kind}.{address} grants on the whole project"
            if re.search(r"roles/(owner|editor|viewer)$|[aA]dmin$", binding["role"]):
                yield f"{kind}.{address} grants {binding['role']}"


@check
def buckets_are_for_those_who_use_them(applied: Applied, given: Given) -> Problems:
    photos, derived = (f"{given.project}-trombi-{name}" for name in ("photos", "derived"))
    user, viewer = "roles/storage.objectUser", "roles/storage.objectViewer"

    def member(name: str) -> str:
        return f"serviceAccount:{account(applied, name)}"

    wanted = {
        (derived, viewer, member("admin")),
        (derived, user, member("callback")),
        (derived, user, member("detect")),
        (photos, viewer, member("admin")),
        (photos, viewer, member("detect")),
        (photos, user, member("smoke")),
        *((photos, user, uploader) for uploader in given.variables.get("uploaders", ())),
    }
    found = {
        (binding["bucket"], binding["role"], binding["member"])
        for binding in applied.all("google_storage_bucket_iam_member")
    }
    if found != wanted:
        yield f"buckets: too many {sorted(found - wanted)}, missing {sorted(wanted - found)}"


# ---------------------------------------------------------------- secrets


@check
def secrets_are_read_by_just_their_readers(applied: Applied, _: Given) -> Problems:
    ids = {secret["secret_id"]: secret["id"] for secret in applied.all("google_secret_manager_secret")}
    needed = set()
    for name, email, made in readers_of_secrets(applied):
        for variable, read in secret_variables(made).items():
            if read["secret"] not in ids:
                yield f"{name}: {variable} is the secret {read['secret']}, which does not exist"
                continue
            if not read["version"].isdecimal():
                yield f"{name}: {variable} is version {read['version']} of its secret, which may change under it"
            needed.add((ids[read["secret"]], f"serviceAccount:{email}"))
    granted = {
        (binding["secret_id"], binding["member"])
        for binding in applied.all("google_secret_manager_secret_iam_member")
        if binding["role"] == "roles/secretmanager.secretAccessor"
    }
    for secret, member in sorted(needed - granted):
        yield f"{member} reads {secret.split('/')[-1]} and may not"
    for secret, member in sorted(granted - needed):
        yield f"{member} may read {secret.split('/')[-1]} and does not"
    if len(granted) != len(applied.all("google_secret_manager_secret_iam_member")):
        yield "somebody may do more with a secret than read it"


@check
def secrets_stay_out_of_the_state(applied: Applied, given: Given) -> Problems:
    for version in applied.all("google_secret_manager_secret_version"):
        if version["secret_data"] or version["secret_data_wo"]:
            yield f"the state holds the content of {version['secret'].split('/')[-1]}"
        if not version["secret_data_wo_version"]:
            yield f"{version['secret'].split('/')[-1]} could not be given a new value"
    for user in applied.all("google_sql_user"):
        if user["password"] or user["password_wo"]:
            yield "the state holds the database's password"
    for (kind, name, owner), value in given.written.items():
        if value in applied.text:
            yield f"the state holds what was sent as {name} of {kind} ({owner.split('/')[-1]})"


@check
def secrets_stay_in_the_region(applied: Applied, given: Given) -> Problems:
    for secret in applied.all("google_secret_manager_secret"):
        places = [
            replica["location"]
            for replication in secret["replication"]
            for managed in replication["user_managed"]
            for replica in managed["replicas"]
        ]
        if places != [given.region]:
            yield f"{secret['secret_id']} is kept in {places}"


# ---------------------------------------------------------------- storage


@check
def buckets_are_closed_and_forget(applied: Applied, given: Given) -> Problems:
    protected = given.variables.get("deletion_protection", True)
    for bucket in applied.all("google_storage_bucket"):
        name = bucket["name"].removeprefix(f"{given.project}-trombi-")
        kept = [policy["retention_duration_seconds"] for policy in bucket["soft_delete_policy"]]
        if not bucket["uniform_bucket_level_access"] or bucket["public_access_prevention"] != "enforced":
            yield f"objects of {name} could be made public"
        if bucket["location"].lower() != given.region:
            yield f"{name} is in {bucket['location']}"
        if [versioning["enabled"] for versioning in bucket["versioning"]] != [False]:
            yield f"{name} keeps old versions: what is deleted is not gone"
        if name == "derived" and kept != [0]:
            yield f"pictures of faces are kept for {kept} s after they were deleted"
        if name == "photos" and bucket["force_destroy"] is protected:
            yield "the photos would be deleted with their bucket"
        origins = [origin for cors in bucket["cors"] for origin in cors["origin"]]
        if origins != sorted(given.variables.get("upload_origins", ())) and name == "photos":
            yield f"pages of {origins} may upload"


@check
def uploads_are_told(applied: Applied, given: Given) -> Problems:
    told = applied.all("google_storage_notification")
    if [one["bucket"] for one in told] != [f"{given.project}-trombi-photos"]:
        yield f"told of are {[one['bucket'] for one in told]}"
    for one in told:
        if one["topic"].split("/")[-1] != StorageNotification.topic:
            yield f"uploads are told to {one['topic']}"
        if one["payload_format"] != "JSON_API_V1":
            yield f"uploads are told as {one['payload_format']}"
        if set(one["event_types"] or ()) != {"OBJECT_FINALIZE", "OBJECT_DELETE"}:
            yield f"told are {one['event_types']}"
        if one["object_name_prefix"] or one["custom_attributes"]:
            yield "some uploads are not told, or not as they are parsed"


# ---------------------------------------------------------------- database and network


@check
def the_database_is_one_or_the_other(applied: Applied, given: Given) -> Problems:
    instances = applied.all("google_sql_database_instance")
    network = applied.all("google_compute_network")
    if given.is_external and (instances or network or applied.all("google_sql_user")):
        yield "a database of one's own, and Cloud SQL is paid for"
    if not given.is_external and len(instances) != 1:
        yield "there is no database"
    for name, service in services(applied).items():
        networks = [access["network_interfaces"] for access in service["template"][0]["vpc_access"]]
        if bool(networks) is given.is_external:
            yield f"{name} is in a network: {bool(networks)}"
        for access in service["template"][0]["vpc_access"]:
            if access["egress"] != "PRIVATE_RANGES_ONLY":
                yield f"{name} reaches Google's other services through the network"
    jobs = [job["template"][0]["template"][0] for job in applied.all("google_cloud_run_v2_job")]
    if any(bool(job["vpc_access"]) is given.is_external for job in jobs):
        yield "a job cannot reach the database"


@check
def the_database_is_private_and_saved(applied: Applied, given: Given) -> Problems:
    protected = given.variables.get("deletion_protection", True)
    for instance in applied.all("google_sql_database_instance"):
        (settings,) = instance["settings"]
        (address,) = settings["ip_configuration"]
        backup = settings["backup_configuration"][0] if settings["backup_configuration"] else None
        if address["ipv4_enabled"] or address["authorized_networks"] or not address["private_network"]:
            yield "the database has a public address"
        if address["ssl_mode"] != "ENCRYPTED_ONLY":
            yield "the database takes connections in the clear"
        if not (instance["deletion_protection"] is settings["deletion_protection_enabled"] is protected):
            yield "the database may be deleted"
        if not re.fullmatch(r"POSTGRES_1[6-8]", instance["database_version"]):
            yield f"{instance['database_version']} may lack what the migrations use"
        yield from _backup(backup, given)
        if settings["edition"] != "ENTERPRISE":
            yield "the tiers are those of the edition ENTERPRISE"
        if not settings["disk_autoresize"]:
            yield "the database's disk can run full"
        regional = given.variables.get("size") == "large"
        if (settings["availability_type"] == "REGIONAL") is not regional:
            yield f"the database is {settings['availability_type']}"
        if any(insights["record_client_address"] for insights in settings["insights_config"]):
            yield "the database notes addresses"


def _backup(backup: Json | None, given: Given) -> Problems:
    if backup is None or not backup["enabled"] or not backup["point_in_time_recovery_enabled"]:
        yield "the database is not backed up"
    elif backup["location"] != given.region:
        yield "backups leave the region"
    elif not 1 <= backup["backup_retention_settings"][0]["retained_backups"] <= 30:
        yield "backups keep erased faces for more than 30 days"


@check
def the_address_of_the_database_is_right(applied: Applied, given: Given) -> Problems:
    sent = {owner.split("/")[-1]: value for (_, _, owner), value in given.written.items()}
    address = urlsplit(sent.get("trombi-database-url", ""))
    if given.is_external:
        if sent.get("trombi-database-url") != given.secrets["database-url"]:
            yield "the address of the database is not the one that was given"
        return
    (instance,) = applied.all("google_sql_database_instance")
    (user,) = applied.all("google_sql_user")
    (database,) = applied.all("google_sql_database")
    password = given.written.get(("google_sql_user", "password_wo", "trombi"))
    wanted = ("postgresql", user["name"], password, instance["private_ip_address"], f"/{database['name']}")
    found = (address.scheme, address.username, address.password, address.hostname, address.path)
    if found != wanted or password != sent.get("trombi-database-password"):
        yield "the database's address and its user do not fit together"
    if "sslmode=require" not in address.query:
        yield "the functions reach the database in the clear"
    versions = {
        version["secret"].split("/")[-1]: version["secret_data_wo_version"]
        for version in applied.all("google_secret_manager_secret_version")
    }
    if not versions["trombi-database-password"] == versions["trombi-database-url"] == user["password_wo_version"]:
        yield "a new password would not reach everybody"


@check
def connections_suffice(applied: Applied, given: Given) -> Problems:
    limit = None
    for instance in applied.all("google_sql_database_instance"):
        flags = {flag["name"]: flag["value"] for flag in instance["settings"][0]["database_flags"]}
        limit = int(flags.get("max_connections", 0))
    wanted = sum(
        service["template"][0]["scaling"][0]["max_instance_count"]
        * int(plain_variables(container(service))["DATABASE_POOL_SIZE"])
        for service in services(applied).values()
    )
    if limit is not None and wanted + _OTHER_CONNECTIONS > limit:
        yield f"the functions may open {wanted} connections, the database takes {limit}"
    for name, service in services(applied).items():
        pool = int(plain_variables(container(service))["DATABASE_POOL_SIZE"])
        if pool > service["template"][0]["max_instance_request_concurrency"] * 2:
            yield f"{name} has {pool} connections for so few requests"


@check
def addresses_suffice(applied: Applied, _: Given) -> Problems:
    for subnet in applied.all("google_compute_subnetwork"):
        addresses = ipaddress.ip_network(subnet["ip_cidr_range"]).num_addresses
        instances = [
            service["template"][0]["scaling"][0]["max_instance_count"] for service in services(applied).values()
        ]
        # In blocks of 16.
        needed = sum(-(-count * _ADDRESSES_PER_INSTANCE // 16) * 16 for count in instances)
        if needed > addresses:
            yield f"{needed} addresses may be taken, the network has {addresses}"
        if not subnet["private_ip_google_access"]:
            yield "the network cannot reach Google's services"


# ---------------------------------------------------------------- jobs


@check
def jobs_do_what_they_are_for(applied: Applied, given: Given) -> Problems:
    jobs = {job["name"].removeprefix("trombi-"): job for job in applied.all("google_cloud_run_v2_job")}
    images = {"migrate": "migrate", "replay": "callback", "smoke": "callback"}
    modules = {"migrate": None, "replay": "operations.replay", "smoke": "operations.smoke"}
    if set(jobs) != set(images):
        yield f"jobs are {sorted(jobs)}"
    for name in set(jobs) & set(images):
        made = job_container(jobs[name])
        (template,) = jobs[name]["template"][0]["template"]
        if made["image"] != given.variables["images"][images[name]]:
            yield f"the job {name} runs {made['image']}"
        module = modules[name]
        if (made["command"] or None) != (["python", "-m", module] if module else None):
            yield f"the job {name} runs {made['command']}"
        if module and not (ROOT / (module.replace(".", "/") + ".py")).is_file():
            yield f"the job {name} runs a module that does not exist"
        if template["max_retries"] != 0:
            yield f"the job {name} would be repeated before somebody looks"
        if template["service_account"] != account(applied, name):
            yield f"the job {name} runs as {template['service_account']}"
        if "DATABASE_URL" not in secret_variables(made):
            yield f"the job {name} does not know the database"
    if "migrate" in jobs and not jobs["migrate"]["run_execution_token"]:
        yield "the migrations are not run"


# What has to be there before: whoever is made second would fail, or work wrongly for a while.
_IN_ORDER = (
    ("google_cloud_run_v2_job.migrate", "google_cloud_run_v2_service.this"),
    ("google_cloud_run_v2_service_iam_member.push", "google_pubsub_subscription.live"),
    ("google_cloud_run_v2_service_iam_member.push", "google_pubsub_subscription.dead"),
    ("google_logging_metric.gauges", "google_monitoring_alert_policy.thresholds"),
    ("google_project_service.apis", "google_pubsub_topic.live"),
    ("google_project_service.apis", "google_storage_bucket.photos"),
    ("google_pubsub_subscription.dead", "google_storage_notification.uploads"),
    ("google_pubsub_subscription.live", "google_storage_notification.uploads"),
    ("google_pubsub_topic_iam_member.dead_letters", "google_pubsub_subscription.live"),
    ("google_pubsub_topic_iam_member.publishers", "google_cloud_run_v2_service.this"),
    ("google_pubsub_topic_iam_member.storage", "google_storage_notification.uploads"),
    ("google_secret_manager_secret_iam_member.readers", "google_cloud_run_v2_job.migrate"),
    ("google_secret_manager_secret_iam_member.readers", "google_cloud_run_v2_service.this"),
    ("google_service_networking_connection.database", "google_sql_database_instance.this"),
    ("google_sql_user.this", "google_cloud_run_v2_job.migrate"),
    ("google_storage_bucket_iam_member.accounts", "google_cloud_run_v2_service.this"),
)


@check
def things_are_made_in_order(_: Applied, given: Given) -> Problems:
    for before, after in _IN_ORDER:
        seen, waiting = {after}, [after]
        while waiting:
            found = given.needs.get(waiting.pop(), frozenset()) - seen
            seen |= found
            waiting += found
        if before not in seen:
            yield f"{after} may be made before {before}"


# ---------------------------------------------------------------- watching


@check
def alerts_lead_to_the_runbook(applied: Applied, _: Given) -> Problems:
    anchors = runbook_anchors()
    channels = {channel["id"] for channel in applied.all("google_monitoring_notification_channel")}
    named = []
    for policy in applied.all("google_monitoring_alert_policy"):
        title = policy["display_name"]
        found = [re.search(r"runbook\.md#([\w-]+)\)", text["content"]) for text in policy["documentation"]]
        if len(found) != 1 or found[0] is None or found[0][1] not in anchors:
            yield f"{title}: no such entry in the runbook"
        else:
            named.append(found[0][1])
        if set(policy["notification_channels"] or ()) != channels or not channels:
            yield f"{title}: nobody is told"
        if policy["enabled"] is False:
            yield f"{title} is switched off"
    if len(named) != len(set(named)):
        yield f"two alerts share an entry of the runbook: {sorted(named)}"


def runbook_anchors() -> set[str]:
    """The headings of the runbook, as links name them."""
    text = (ROOT / "docs" / "runbook.md").read_text()
    return {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


WATCHED = {
    "dead-letters": "subscription/dead_letter_message_count",
    "backlog": "subscription/oldest_unacked_message_age",
    "errors": "request_count",
    "detect-slow": "request_latencies",
    "jobs-pending": "oldest_pending_seconds",
    "outbox": "oldest_outbox_seconds",
    "failed-jobs": "failed_share",
    "cold-starts": "container/startup_latencies",
    "cost": "container/billable_instance_time",
    "ticks-missing": "pending_jobs",
    "sign-in-failures": "refused_callers",
    "admin-down": "uptime_check/check_passed",
}
WATCHED_DATABASE = {
    "database-busy": "cpu/utilization",
    "database-connections": "postgresql/num_backends",
    "database-disk": "disk/utilization",
}


@check
def everything_is_watched(applied: Applied, given: Given) -> Problems:
    watched = {}
    for policy in applied.all("google_monitoring_alert_policy"):
        match = re.search(r"#([\w-]+)\)", policy["documentation"][0]["content"] if policy["documentation"] else "")
        conditions = [
            condition[kind][0]
            for condition in policy["conditions"]
            for kind in ("condition_threshold", "condition_absent")
            if condition[kind]
        ]
        watched[match[1] if match else policy["display_name"]] = conditions
    wanted = WATCHED if given.is_external else {**WATCHED, **WATCHED_DATABASE}
    if set(watched) != set(wanted):
        yield f"watched: too many {sorted(set(watched) - set(wanted))}, missing {sorted(set(wanted) - set(watched))}"
    for name in set(watched) & set(wanted):
        if len(watched[name]) != 1 or wanted[name] not in watched[name][0]["filter"]:
            yield f"{name} does not look at {wanted[name]}"
            continue
        condition = watched[name][0]
        if "resource.type" not in condition["filter"] or "metric.type" not in condition["filter"]:
            yield f"{name}: a filter names a resource's and a metric's type"
        span = int(condition["duration"][:-1]) + int(condition["aggregations"][0]["alignment_period"][:-1])
        if span > 84_600:
            yield f"{name} looks back further than is possible"
        if name != "ticks-missing" and condition.get("comparison") != "COMPARISON_GT":
            yield f"{name} compares with {condition.get('comparison')}"


@check
def gauges_are_read_out_of_the_log(applied: Applied, _: Given) -> Problems:
    extracted = {}
    for metric in applied.all("google_logging_metric"):
        if metric["value_extractor"]:
            match = re.fullmatch(r"EXTRACT\(jsonPayload\.(\w+)\)", metric["value_extractor"])
            extracted[metric["name"].split("/")[-1]] = match[1] if match else None
            if f'jsonPayload.message = "{gauges.MESSAGE}"' not in metric["filter"]:
                yield f"{metric['name']} reads other lines than callback's gauges"
            if metric["metric_descriptor"][0]["value_type"] != "DISTRIBUTION":
                yield f"{metric['name']}: an extracted value is a distribution"
    if extracted != {name: name for name in gauges.NAMES}:
        yield f"read out of the log are {extracted}, callback writes {sorted(gauges.NAMES)}"
    texts = json.dumps([applied.all("google_monitoring_alert_policy"), applied.all("google_monitoring_dashboard")])
    for used in set(re.findall(r"logging\.googleapis\.com/user/trombi/(\w+)", texts)):
        if used not in extracted and used != "refused_callers":
            yield f"{used} is watched, and nobody reads it out of the log"


@check
def the_dashboard_can_be_drawn(applied: Applied, _: Given) -> Problems:
    for dashboard in applied.all("google_monitoring_dashboard"):
        layout = json.loads(dashboard["dashboard_json"])["mosaicLayout"]
        taken: set[tuple[int, int]] = set()
        for tile in layout["tiles"]:
            cells = {
                (x, y)
                for x in range(tile["xPos"], tile["xPos"] + tile["width"])
                for y in range(tile["yPos"], tile["yPos"] + tile["height"])
            }
            if cells & taken or max(x for x, _ in cells) >= layout["columns"]:
                yield f"{tile['widget']['title']} lies on another tile, or outside"
            taken |= cells
            for shown in tile["widget"]["xyChart"]["dataSets"]:
                filter_ = shown["timeSeriesQuery"]["timeSeriesFilter"]["filter"]
                if "metric.type" not in filter_ or "resource.type" not in filter_:
                    yield f"{tile['widget']['title']}: {filter_}"
        drawn = json.dumps(layout)
        for wanted in ("dead_letter_message_count", "pending_jobs", "request_latencies", "startup_latencies"):
            if wanted not in drawn:
                yield f"the dashboard does not show {wanted}"
    if len(applied.all("google_monitoring_dashboard")) != 1:
        yield "there is no dashboard"


@check
def a_budget_is_watched(applied: Applied, given: Given) -> Problems:
    budgets = applied.all("google_billing_budget")
    if len(budgets) != bool(given.variables.get("billing_account")):
        yield f"{len(budgets)} budgets"
    for budget in budgets:
        if budget["budget_filter"][0]["projects"] != [f"projects/{PROJECT_NUMBER}"]:
            yield "the budget counts other projects"
        if not budget["all_updates_rule"][0]["monitoring_notification_channels"]:
            yield "nobody hears of the budget"


# ---------------------------------------------------------------- the whole


_API_OF = {
    "google_artifact_registry": "artifactregistry",
    "google_billing": "billingbudgets",
    "google_cloud_run": "run",
    "google_cloud_scheduler": "cloudscheduler",
    "google_compute": "compute",
    "google_logging": "logging",
    "google_monitoring": "monitoring",
    "google_pubsub": "pubsub",
    "google_secret_manager": "secretmanager",
    "google_service_account": "iam",
    "google_service_networking": "servicenetworking",
    "google_sql": "sqladmin",
    "google_storage": "storage",
}


@check
def every_api_is_enabled(applied: Applied, _: Given) -> Problems:
    enabled = {service["service"] for service in applied.all("google_project_service")}
    for kind in applied.resources:
        for prefix, api in _API_OF.items():
            if kind.startswith(prefix) and f"{api}.googleapis.com" not in enabled:
                yield f"{kind} needs {api}.googleapis.com"
    if any(service["disable_on_destroy"] for service in applied.all("google_project_service")):
        yield "a destroy would switch off APIs that others in the project may use"


@check
def everything_is_labelled(applied: Applied, given: Given) -> Problems:
    wanted = {"app": "trombi", "managed-by": "terraform", "size": given.variables.get("size", "small")}
    wanted |= given.variables.get("labels", {})
    for kind, made in applied.resources.items():
        for address, resource in made.items():
            if "effective_labels" in resource and resource["effective_labels"] != wanted:
                yield f"{kind}.{address} has the labels {resource['effective_labels']}"
    for instance in applied.all("google_sql_database_instance"):
        if instance["settings"][0]["user_labels"] != wanted:
            yield "the database has other labels"


@check
def images_stay_what_they_are(applied: Applied, given: Given) -> Problems:
    for registry in applied.all("google_artifact_registry_repository"):
        if [settings["immutable_tags"] for settings in registry["docker_config"]] != [True]:
            yield "a tag can be moved to another image"
        if registry["location"] != given.region or registry["format"] != "DOCKER":
            yield f"the registry is {registry['format']} in {registry['location']}"
    if len(applied.all("google_artifact_registry_repository")) != 1:
        yield "there is no registry"


@check
def outputs_are_what_an_operator_needs(applied: Applied, given: Given) -> Problems:
    outputs = applied.outputs
    if outputs.get("photos_bucket") != f"{given.project}-trombi-photos":
        yield f"photos go to {outputs.get('photos_bucket')}"
    if outputs.get("registry") != f"{given.region}-docker.pkg.dev/{given.project}/trombi":
        yield f"images are kept in {outputs.get('registry')}"
    if outputs.get("url") != given.variables.get(
        "public_url", f"https://trombi-admin-{PROJECT_NUMBER}.{given.region}.run.app"
    ):
        yield f"admin answers at {outputs.get('url')}"
    if outputs.get("jobs") != {name: f"trombi-{name}" for name in ("migrate", "replay", "smoke")}:
        yield f"jobs are {outputs.get('jobs')}"
    if (outputs.get("signed_callback_url") is not None) is not bool(given.variables.get("signed_callback")):
        yield f"workers report to {outputs['signed_callback_url']}"
    if set(outputs.get("topics", ())) != {topic.name for topic in load_bus().topics}:
        yield f"topics are {sorted(outputs.get('topics', ()))}"
    if (outputs.get("database") is None) is not given.is_external:
        yield f"the database is {outputs['database']}"
