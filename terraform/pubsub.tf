locals {
  uploads_topic = "media-uploads"
  ticks_topic   = "ticks"

  topics = { for topic in local.bus.topics : topic.name => topic }
  subscriptions = merge([
    for topic in local.bus.topics : { for to in topic.subscriptions : to.name => merge(to, { topic = topic.name }) }
  ]...)
  dead_letter = local.bus.dead_letter
  retention   = "${local.bus.message_retention_seconds}s"

  # Trombi's own messages have a schema. Cloud Storage's messages, on media-uploads, have none.
  schemas = toset([for file in fileset("${path.module}/schemas", "*.proto") : trimsuffix(file, ".proto")])

  # A function that drains the outbox publishes all messages in it, whichever function wrote them. So each of the four
  # may publish to every topic of outbox messages, and to no other. A replay publishes to the topic of the dead letter.
  outbox_topics = setsubtract(keys(local.topics), [local.uploads_topic, local.ticks_topic])
  publishers = merge(
    { for pair in setproduct(local.functions, local.outbox_topics) : "${pair[0]}/${pair[1]}" => { who = pair[0], topic = pair[1] } },
    { for topic in keys(local.topics) : "replay/${topic}" => { who = "replay", topic = topic } },
  )
  pushed_to = toset(concat(
    [for subscription in values(local.subscriptions) : subscription.function],
    [local.dead_letter.subscription.function],
  ))
}

resource "google_pubsub_schema" "this" {
  for_each   = local.schemas
  name       = "trombi-${each.key}"
  type       = "PROTOCOL_BUFFER"
  definition = file("${path.module}/schemas/${each.key}.proto")
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "live" {
  for_each                   = local.topics
  name                       = each.key
  message_retention_duration = local.retention

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  dynamic "schema_settings" {
    for_each = contains(local.schemas, each.key) ? [each.key] : []
    content {
      schema   = google_pubsub_schema.this[schema_settings.value].id
      encoding = "JSON"
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_pubsub_topic" "dead" {
  for_each                   = local.topics
  name                       = "${each.key}${local.dead_letter.topic_suffix}"
  message_retention_duration = local.retention

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.apis]
}

resource "google_pubsub_subscription" "live" {
  for_each                   = local.subscriptions
  name                       = each.key
  topic                      = google_pubsub_topic.live[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_deadline_seconds
  message_retention_duration = local.retention

  # No expiration. By default, an idle subscription is deleted after a month, and the next event's messages would be lost.
  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "${local.bus.retry.minimum_backoff_seconds}s"
    maximum_backoff = "${local.bus.retry.maximum_backoff_seconds}s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[each.value.topic].id
    max_delivery_attempts = local.dead_letter.max_delivery_attempts
  }

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.this[each.value.function].uri}${each.value.path}"
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.this[each.value.function].uri
    }
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_pubsub_topic_iam_member.dead_letters,
    google_service_account_iam_member.push_tokens,
  ]
}

# Without a subscription, a dead-letter topic would lose its messages.
resource "google_pubsub_subscription" "dead" {
  for_each                   = local.topics
  name                       = "${each.key}${local.dead_letter.subscription.name_suffix}"
  topic                      = google_pubsub_topic.dead[each.key].id
  ack_deadline_seconds       = local.dead_letter.subscription.ack_deadline_seconds
  message_retention_duration = local.retention

  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "${local.dead_letter.retry.minimum_backoff_seconds}s"
    maximum_backoff = "${local.dead_letter.retry.maximum_backoff_seconds}s"
  }

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.this[local.dead_letter.subscription.function].uri}${local.dead_letter.subscription.path_prefix}${each.key}"
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.this[local.dead_letter.subscription.function].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push, google_service_account_iam_member.push_tokens]
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = local.publishers
  topic    = google_pubsub_topic.live[each.value.topic].id
  role     = "roles/pubsub.publisher"
  member   = local.members[each.value.who]
}

# Pub/Sub moves dead letters itself: it publishes to the dead-letter topic, and acknowledges on the live subscription.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  for_each = local.topics
  topic    = google_pubsub_topic.dead[each.key].id
  role     = "roles/pubsub.publisher"
  member   = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each     = local.subscriptions
  subscription = google_pubsub_subscription.live[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_cloud_scheduler_job" "ticks" {
  name      = "${var.name}-ticks"
  region    = var.region
  schedule  = "* * * * *"
  time_zone = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.live[local.ticks_topic].id
    data       = base64encode(jsonencode({ version = 1 }))
    attributes = { schema = "trombi.Tick.v1" }
  }

  depends_on = [google_project_service.apis, google_pubsub_subscription.live]
}
