"""Mistakes that somebody could make in `terraform/`, seeded one at a time: each has to be caught.

``python -m tests.terraform.mistakes`` seeds all of them. A mistake is caught where terraform itself refuses it, or
where one of the checks finds something; which of them is said beside it, so that a check cannot rot behind another.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.terraform.checks import Given, problems
from tests.terraform.configurations import Configuration, complete, configuration
from tests.terraform.workspace import TerraformError, Workspace, workspace

# Caught by terraform itself: its message matches.
TERRAFORM = "terraform"


@dataclass(frozen=True)
class Mistake:
    """``old`` becomes ``new`` in a file; ``caught_by`` is a check's name, or TERRAFORM; ``where`` a configuration's."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    where: str = "cloud sql"


CONFIGURATIONS: dict[str, Configuration] = {
    "cloud sql": configuration("small", external=False),
    "complete": complete(),
    "gpu": configuration("medium", external=False, gpu="nvidia-l4"),
}

MISTAKES = (
    Mistake(
        "a topic that is not the declared one",
        "pubsub.tf",
        'resource "google_pubsub_topic" "live" {\n  for_each                   = local.topics\n  name                       = each.key',
        'resource "google_pubsub_topic" "live" {\n  for_each                   = local.topics\n  name                       = "trombi-${each.key}"',
        "topics_are_the_declared_ones",
    ),
    Mistake(
        "an ack deadline of its own",
        "pubsub.tf",
        "ack_deadline_seconds       = each.value.ack_deadline_seconds",
        "ack_deadline_seconds       = 30",
        "subscriptions_are_the_declared_ones",
    ),
    Mistake(
        "a retry of its own",
        "pubsub.tf",
        'minimum_backoff = "${local.bus.retry.minimum_backoff_seconds}s"',
        'minimum_backoff = "10s"',
        "subscriptions_are_the_declared_ones",
    ),
    Mistake(
        "an idle subscription expires",
        "pubsub.tf",
        '  expiration_policy {\n    ttl = ""\n  }\n\n  retry_policy {\n    minimum_backoff = "${local.bus',
        '  expiration_policy {\n    ttl = "2678400s"\n  }\n\n  retry_policy {\n    minimum_backoff = "${local.bus',
        "subscriptions_are_the_declared_ones",
    ),
    Mistake(
        "Pub/Sub may not take dead letters",
        "pubsub.tf",
        '  role         = "roles/pubsub.subscriber"',
        '  role         = "roles/pubsub.viewer"',
        "dead_letters_can_move_and_are_kept",
    ),
    Mistake(
        "no dead letters",
        "pubsub.tf",
        "  dead_letter_policy {\n    dead_letter_topic     = google_pubsub_topic.dead[each.value.topic].id\n    max_delivery_attempts = local.dead_letter.max_delivery_attempts\n  }\n",
        "",
        "subscriptions_are_the_declared_ones",
    ),
    Mistake(
        "dead letters go to the live topic",
        "pubsub.tf",
        "dead_letter_topic     = google_pubsub_topic.dead[each.value.topic].id",
        "dead_letter_topic     = google_pubsub_topic.live[each.value.topic].id",
        "dead_letters_can_move_and_are_kept",
    ),
    Mistake(
        "dead letters that nobody keeps",
        "pubsub.tf",
        'resource "google_pubsub_subscription" "dead" {\n  for_each                   = local.topics',
        'resource "google_pubsub_subscription" "dead" {\n  for_each                   = { for name, topic in local.topics : name => topic if name != "ticks" }',
        "dead_letters_can_move_and_are_kept",
    ),
    Mistake(
        "Pub/Sub may not publish dead letters",
        "pubsub.tf",
        'resource "google_pubsub_topic_iam_member" "dead_letters" {\n  for_each = local.topics',
        'resource "google_pubsub_topic_iam_member" "dead_letters" {\n  for_each = toset([])',
        "dead_letters_can_move_and_are_kept",
    ),
    Mistake(
        "too few attempts",
        "pubsub.tf",
        "max_delivery_attempts = local.dead_letter.max_delivery_attempts",
        "max_delivery_attempts = 5",
        "limits_of_pubsub_are_kept",
    ),
    Mistake(
        "a token for another audience",
        "pubsub.tf",
        "      audience              = google_cloud_run_v2_service.this[each.value.function].uri",
        '      audience              = "trombi"',
        "pushes_are_signed_and_let_in",
    ),
    Mistake(
        "a push without a token",
        "pubsub.tf",
        "    oidc_token {\n      service_account_email = google_service_account.push.email\n      audience              = google_cloud_run_v2_service.this[each.value.function].uri\n    }\n",
        "",
        "pushes_are_signed_and_let_in",
    ),
    Mistake(
        "a push that is not let in",
        "cloudrun.tf",
        "  for_each = local.pushed_to",
        '  for_each = setsubtract(local.pushed_to, ["cluster"])',
        "pushes_are_signed_and_let_in",
    ),
    Mistake(
        "detect cannot drain the outbox",
        "pubsub.tf",
        "for pair in setproduct(local.functions, local.outbox_topics)",
        'for pair in setproduct(setsubtract(local.functions, ["detect"]), local.outbox_topics)',
        "publishers_are_who_has_to",
    ),
    Mistake(
        "everybody may publish uploads",
        "pubsub.tf",
        "setsubtract(keys(local.topics), [local.uploads_topic, local.ticks_topic])",
        "setsubtract(keys(local.topics), [local.ticks_topic])",
        "publishers_are_who_has_to",
    ),
    Mistake(
        "a topic without its schema",
        "pubsub.tf",
        "for_each = contains(local.schemas, each.key) ? [each.key] : []",
        "for_each = []",
        "topics_are_the_declared_ones",
    ),
    Mistake(
        "a tick that is none",
        "pubsub.tf",
        'attributes = { schema = "trombi.Tick.v1" }',
        "attributes = {}",
        "ticks_are_ticks",
    ),
    Mistake("a tick an hour", "pubsub.tf", '"* * * * *"', '"0 * * * *"', "ticks_are_ticks"),
    Mistake(
        "requests outlast the ack deadline",
        "main.tf",
        "function => deadline - 10",
        "function => deadline + 10",
        "requests_end_before_their_message_comes_again",
    ),
    Mistake(
        "a variable is forgotten",
        "cloudrun.tf",
        "      PHOTOS_BUCKET       = google_storage_bucket.photos.name\n",
        "",
        "environments_are_what_the_settings_read",
    ),
    Mistake(
        "a variable that nobody reads",
        "cloudrun.tf",
        "    MAX_PHOTO_BYTES  = var.detect.max_photo_bytes",
        "    MAX_PHOTO_SIZE   = var.detect.max_photo_bytes",
        "environments_are_what_the_settings_read",
        "complete",
    ),
    Mistake(
        "a value that the function refuses",
        "variables.tf",
        "face_threads        = optional(number, 0)",
        "face_threads        = optional(number, -1)",
        "environments_are_what_the_settings_read",
    ),
    Mistake(
        "another default than the emulated cloud's",
        "variables.tf",
        "cluster_every        = optional(number, 20)",
        "cluster_every        = optional(number, 50)",
        "defaults_are_those_of_the_settings",
    ),
    Mistake(
        "no probe",
        "cloudrun.tf",
        '          path = "/healthz"',
        '          path = "/"',
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "eighty photos at a time",
        "cloudrun.tf",
        "    max_instance_request_concurrency = each.value.concurrency\n",
        "",
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "no request is left to say that detect is busy",
        "main.tf",
        "var.detect.face_photos_at_once + var.detect.face_photos_waiting + 2)",
        "4) - 2",
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "threads and requests differ",
        "cloudrun.tf",
        "        THREADS = made.concurrency",
        "        THREADS = 1",
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "one function runs another's image",
        "cloudrun.tf",
        "      image = var.images[each.value.function]",
        '      image = var.images["detect"]',
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "services may be deleted",
        "cloudrun.tf",
        "  deletion_protection = var.deletion_protection",
        "  deletion_protection = false",
        "functions_are_run_as_they_need",
    ),
    Mistake(
        "a GPU that sleeps",
        "cloudrun.tf",
        "cpu_idle          = each.value.gpu == null",
        "cpu_idle          = true",
        "functions_are_run_as_they_need",
        "gpu",
    ),
    Mistake(
        "a GPU with too little memory",
        "main.tf",
        'cpu = "4", max = var.gpu_max_instances, memory = "16Gi"',
        'cpu = "4", max = var.gpu_max_instances, memory = "8Gi"',
        "functions_are_run_as_they_need",
        "gpu",
    ),
    Mistake(
        "every function is open",
        "cloudrun.tf",
        "  for_each = toset([for name, made in local.services : name if made.is_public])",
        "  for_each = toset(keys(local.services))",
        "nothing_is_public_but_admin",
    ),
    Mistake(
        "every function can be reached",
        "cloudrun.tf",
        'each.value.is_public ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY"',
        '"INGRESS_TRAFFIC_ALL"',
        "nothing_is_public_but_admin",
    ),
    Mistake(
        "the signed entry brings the others along",
        "main.tf",
        '"--target", "signed"',
        '"--target", "main"',
        "nothing_is_public_but_admin",
        "complete",
    ),
    Mistake(
        "all functions share an account",
        "cloudrun.tf",
        "service_account                  = google_service_account.functions[each.value.function].email",
        'service_account                  = google_service_account.functions["admin"].email',
        "every_function_is_somebody_of_its_own",
    ),
    Mistake(
        "detect may do anything with photos",
        "storage.tf",
        '"detect/photos"    = { role = "roles/storage.objectViewer"',
        '"detect/photos"    = { role = "roles/storage.admin"',
        "roles_are_least",
    ),
    Mistake(
        "cluster reads photos",
        "storage.tf",
        '    "detect/photos"    = {',
        '    "cluster/photos"   = { role = "roles/storage.objectViewer", bucket = google_storage_bucket.photos.name }\n    "detect/photos"    = {',
        "buckets_are_for_those_who_use_them",
    ),
    Mistake(
        "a secret that may not be read",
        "secrets.tf",
        "  for_each  = local.secret_readers",
        '  for_each  = { for key, one in local.secret_readers : key => one if one.reader != "cluster" }',
        "secrets_are_read_by_just_their_readers",
    ),
    Mistake(
        "everybody reads every secret",
        "secrets.tf",
        "      for secret in values(variables) : ",
        "      for secret in local.secrets : ",
        "secrets_are_read_by_just_their_readers",
    ),
    Mistake(
        "the newest version of a secret, whatever it is",
        "cloudrun.tf",
        "              version = local.secret_version_names[env.value]\n            }\n          }\n        }\n      }\n\n      ports",
        '              version = "latest"\n            }\n          }\n        }\n      }\n\n      ports',
        "secrets_are_read_by_just_their_readers",
    ),
    Mistake(
        "a secret in the state",
        "secrets.tf",
        "  secret_data_wo         = lookup(var.secrets, each.key, null)\n  secret_data_wo_version = each.value",
        "  secret_data            = lookup(var.secrets, each.key, null)",
        TERRAFORM,
    ),
    Mistake(
        "the password in the state",
        "database.tf",
        '  password_wo         = ephemeral.google_secret_manager_secret_version.database_password[0].secret_data\n  password_wo_version = local.secret_versions["database-password"]',
        '  password            = "trombi"',
        "secrets_stay_out_of_the_state",
    ),
    Mistake(
        "the address of somebody else",
        "secrets.tf",
        "    google_sql_user.this[0].name,",
        '    "postgres",',
        "the_address_of_the_database_is_right",
    ),
    Mistake(
        "connections in the clear",
        "secrets.tf",
        "?sslmode=require",
        "?sslmode=disable",
        "the_address_of_the_database_is_right",
    ),
    Mistake(
        "secrets anywhere",
        "secrets.tf",
        "        location = var.region",
        '        location = "us-central1"',
        "secrets_stay_in_the_region",
    ),
    Mistake(
        "deleted thumbnails are kept for a week",
        "storage.tf",
        "retention_duration_seconds = 0",
        "retention_duration_seconds = 604800",
        "buckets_are_closed_and_forget",
    ),
    Mistake(
        "photos with versions",
        "storage.tf",
        "  # With versioning, deleting a photo would only archive it, and its faces would stay.\n  versioning {\n    enabled = false",
        "  versioning {\n    enabled = true",
        "buckets_are_closed_and_forget",
    ),
    Mistake(
        "objects that can be made public",
        "storage.tf",
        '  public_access_prevention    = "enforced"\n  force_destroy               = !var',
        '  public_access_prevention    = "inherited"\n  force_destroy               = !var',
        "buckets_are_closed_and_forget",
    ),
    Mistake(
        "deletions are not told",
        "storage.tf",
        '["OBJECT_FINALIZE", "OBJECT_DELETE"]',
        '["OBJECT_FINALIZE"]',
        "uploads_are_told",
    ),
    Mistake(
        "uploads without their metadata",
        "storage.tf",
        'payload_format = "JSON_API_V1"',
        'payload_format = "NONE"',
        "uploads_are_told",
    ),
    Mistake(
        "a word for the payload that does not exist",
        "storage.tf",
        'payload_format = "JSON_API_V1"',
        'payload_format = "JSON_API_V2"',
        "uploads_are_told",
    ),
    Mistake(
        "the notification before the right to notify",
        "storage.tf",
        "  depends_on = [google_pubsub_topic_iam_member.storage, google_pubsub_subscription.live, google_pubsub_subscription.dead]\n",
        "",
        "things_are_made_in_order",
    ),
    Mistake(
        "functions before the migrations",
        "cloudrun.tf",
        "  depends_on = [\n    google_cloud_run_v2_job.migrate,",
        "  depends_on = [",
        "things_are_made_in_order",
    ),
    Mistake(
        "migrations that are not run",
        "cloudrun.tf",
        "  run_execution_token = ",
        "  start_execution_token = ",
        "jobs_do_what_they_are_for",
    ),
    Mistake(
        "a database on the internet",
        "database.tf",
        "ipv4_enabled    = false",
        "ipv4_enabled    = true",
        "the_database_is_private_and_saved",
    ),
    Mistake(
        "a database without backups",
        "database.tf",
        "      enabled                        = true",
        "      enabled                        = false",
        "the_database_is_private_and_saved",
    ),
    Mistake(
        "a database that may be deleted",
        "database.tf",
        "deletion_protection_enabled = var.deletion_protection",
        "deletion_protection_enabled = false",
        "the_database_is_private_and_saved",
    ),
    Mistake(
        "more connections than the database takes",
        "main.tf",
        'detect          = { concurrency = 6, cpu = "2", max = 3,',
        'detect          = { concurrency = 6, cpu = "2", max = 30,',
        "connections_suffice",
    ),
    Mistake("fewer addresses than instances", "main.tf", '"10.8.0.0/24"', '"10.8.0.0/27"', "addresses_suffice"),
    Mistake(
        "an alert that leads nowhere",
        "monitoring.tf",
        "      backlog = {",
        "      backlogs = {",
        "alerts_lead_to_the_runbook",
    ),
    Mistake(
        "an alert that nobody hears",
        "monitoring.tf",
        '  severity              = "CRITICAL"\n  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]\n\n  conditions {\n    display_name = "More',
        '  severity              = "CRITICAL"\n\n  conditions {\n    display_name = "More',
        "alerts_lead_to_the_runbook",
    ),
    Mistake(
        "dead letters are not watched",
        "monitoring.tf",
        "subscription/dead_letter_message_count",
        "subscription/num_undelivered_messages",
        "everything_is_watched",
    ),
    Mistake(
        "a gauge that nobody writes",
        "monitoring.tf",
        "    pending_jobs           = {",
        "    waiting_jobs           = {",
        TERRAFORM,
    ),
    Mistake(
        "a gauge that is read wrongly",
        "monitoring.tf",
        '"EXTRACT(jsonPayload.${each.key})"',
        '"EXTRACT(jsonPayload.value)"',
        "gauges_are_read_out_of_the_log",
    ),
    Mistake(
        "tiles on top of each other",
        "dashboard.tf",
        "xPos   = number % 3 * 4",
        "xPos   = 0",
        "the_dashboard_can_be_drawn",
    ),
    Mistake(
        "a budget that nobody hears of",
        "monitoring.tf",
        "slice(sort([for channel in google_monitoring_notification_channel.email : channel.id]), 0, min(5, length(var.alert_emails)))",
        "[]",
        "a_budget_is_watched",
        "complete",
    ),
    Mistake("an API that is not enabled", "main.tf", '"pubsub", "run"', '"run"', "every_api_is_enabled"),
    Mistake("no labels", "versions.tf", "  default_labels = local.labels\n", "", "everything_is_labelled"),
    Mistake(
        "tags that can be moved",
        "main.tf",
        "immutable_tags = true",
        "immutable_tags = false",
        "images_stay_what_they_are",
    ),
    Mistake("images by tag", "variables.tf", "@sha256:[0-9a-f]{64}$", "never", TERRAFORM),
    Mistake(
        "an attribute that does not exist",
        "pubsub.tf",
        "ack_deadline_seconds       = each",
        "ack_deadline               = each",
        TERRAFORM,
    ),
    Mistake(
        "an attribute that only the cloud sets",
        "accounts.tf",
        '  display_name = "Trombi ${each.key}"',
        '  email        = "trombi@example.org"',
        TERRAFORM,
    ),
    Mistake(
        "a reference to nothing",
        "secrets.tf",
        "google_sql_user.this[0].name",
        "google_sql_user.trombi[0].name",
        TERRAFORM,
    ),
    Mistake(
        "an output that is gone",
        "outputs.tf",
        'output "photos_bucket"',
        'output "bucket"',
        "outputs_are_what_an_operator_needs",
    ),
)


class NotSeeded(Exception):
    """The text that a mistake replaces is not there, or not just once."""


def seeded(text: str, mistake: Mistake) -> str:
    """The file's text with the mistake in it.

    Raises:
        NotSeeded: `terraform/` has changed; the mistake has to be written anew.
    """
    if text.count(mistake.old) < 1:
        message = f"{mistake.name}: {mistake.file} has no {mistake.old!r}"
        raise NotSeeded(message)
    return text.replace(mistake.old, mistake.new, 1)


def caught_by(made: Workspace, *mistakes: Mistake) -> dict[str, list[str]]:
    """What catches mistakes of one configuration, seeded into an empty deployment: by check, what it finds.

    What terraform itself refuses is found by TERRAFORM.
    """
    chosen = CONFIGURATIONS[mistakes[0].where]
    made.start_afresh(chosen.secrets)
    made.give(chosen.variables)
    sound = {mistake.file: (made.folder / mistake.file).read_text() for mistake in mistakes}
    broken = dict(sound)
    for mistake in mistakes:
        broken[mistake.file] = seeded(broken[mistake.file], mistake)
    try:
        for name, text in broken.items():
            (made.folder / name).write_text(text)
        applied = made.apply("-refresh=false")
        given = Given(chosen.variables, chosen.secrets, dict(made.stub.written), made.needs())
        return problems(applied, given)
    except TerraformError as error:
        return {TERRAFORM: re.findall(r"Error: (.*)", str(error)) or [str(error)]}
    finally:
        for name, text in sound.items():
            (made.folder / name).write_text(text)


def batches() -> list[list[Mistake]]:
    """The mistakes in as few groups as can be seeded together: of one configuration, each caught by another check.

    Those that terraform itself refuses are alone.
    """
    groups: list[list[Mistake]] = []
    for mistake in MISTAKES:
        for group in groups:
            taken = {other.caught_by for other in group} | {TERRAFORM}
            if mistake.caught_by not in taken and group[0].where == mistake.where and group[0].caught_by != TERRAFORM:
                group.append(mistake)
                break
        else:
            groups.append([mistake])
    return groups


def main() -> int:
    """Seed every mistake, tell what caught it; 0 when all were caught by what they should be caught by."""
    started = time.monotonic()
    missed = []
    with tempfile.TemporaryDirectory(prefix="trombi-mistakes-") as folder, workspace(Path(folder)) as made:
        for number, mistake in enumerate(MISTAKES, 1):
            found = caught_by(made, mistake)
            by = mistake.caught_by in found
            missed += [] if by else [mistake.name]
            what = found[mistake.caught_by][0] if by else f"NOT CAUGHT by {mistake.caught_by}, only {found}"
            sys.stdout.write(f"{number:2} of {len(MISTAKES)}  {mistake.name}: {what}\n")
            sys.stdout.flush()
    caught = len(MISTAKES) - len(missed)
    sys.stdout.write(f"{caught} of {len(MISTAKES)} mistakes caught, {time.monotonic() - started:.0f} s\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
