locals {
  # At every tick, callback logs these figures of the database (functions/callback/gauges.py).
  gauges = {
    dead_letters           = { unit = "1", text = "dead letters waiting for a replay" }
    failed_share           = { unit = "1", text = "share of failed jobs in the last day" }
    oldest_outbox_seconds  = { unit = "s", text = "age of the oldest outbox entry that is due" }
    oldest_pending_seconds = { unit = "s", text = "age of the oldest job that is not done" }
    pending_jobs           = { unit = "1", text = "jobs that are not done" }
  }
  gauge_metric = { for gauge in keys(local.gauges) : gauge => "logging.googleapis.com/user/${var.name}/${gauge}" }

  run_filter      = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = starts_with(\"${var.name}-\")"
  services_filter = join(" OR ", [for name in sort(keys(local.services)) : "resource.labels.service_name = \"${var.name}-${name}\""])
  our_topics      = join(" OR ", concat([for name in sort(keys(local.subscriptions)) : "resource.labels.subscription_id = \"${name}\""], [for name in sort(keys(local.topics)) : "resource.labels.subscription_id = \"${name}${local.dead_letter.subscription.name_suffix}\""]))
  run_metric      = "resource.type = \"cloud_run_revision\" AND (${local.services_filter}) AND metric.type = \"run.googleapis.com"
  pubsub_metric   = "resource.type = \"pubsub_subscription\" AND (${local.our_topics}) AND metric.type = \"pubsub.googleapis.com"
  gauge_filter    = { for gauge, metric in local.gauge_metric : gauge => "resource.type = \"cloud_run_revision\" AND metric.type = \"${metric}\"" }
  database_metric = local.uses_cloud_sql ? "resource.type = \"cloudsql_database\" AND resource.labels.database_id = \"${var.project_id}:${google_sql_database_instance.this[0].name}\" AND metric.type = \"cloudsql.googleapis.com/database" : ""

  # Each key is the name of an entry of docs/runbook.md, which describes the alert, its investigation and its fix.
  alerts = merge(
    {
      dead-letters = {
        title     = "Messages were given up"
        filter    = "${local.pubsub_metric}/subscription/dead_letter_message_count\""
        aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = ["resource.labels.subscription_id"]
        period    = 300, duration = 0
        threshold = 0
      }
      backlog = {
        title     = "A message has waited for 15 minutes"
        filter    = "${local.pubsub_metric}/subscription/oldest_unacked_message_age\""
        aligner   = "ALIGN_MAX", reducer = "REDUCE_MAX", group = ["resource.labels.subscription_id"]
        period    = 60, duration = 300
        threshold = 900
      }
      detect-slow = {
        title     = "Detection takes over 30 s a photo"
        filter    = "${local.run_metric}/request_latencies\" AND resource.labels.service_name = \"${var.name}-detect\""
        aligner   = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", group = ["resource.labels.service_name"]
        period    = 300, duration = 600
        threshold = 30000
      }
      jobs-pending = {
        title     = "A job has not been done for half an hour"
        filter    = local.gauge_filter["oldest_pending_seconds"]
        aligner   = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = []
        period    = 300, duration = 300
        threshold = 1800
      }
      outbox = {
        title     = "Messages are not leaving the database"
        filter    = local.gauge_filter["oldest_outbox_seconds"]
        aligner   = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = []
        period    = 300, duration = 300
        threshold = 600
      }
      failed-jobs = {
        title     = "A fifth of the day's jobs failed"
        filter    = local.gauge_filter["failed_share"]
        aligner   = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = []
        period    = 300, duration = 900
        threshold = 0.2
      }
      cold-starts = {
        title     = "Starting takes over 10 s"
        filter    = "${local.run_metric}/container/startup_latencies\""
        aligner   = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", group = ["resource.labels.service_name"]
        period    = 600, duration = 600
        threshold = 10000
      }
      cost = {
        title     = "Instances ran for more than ${local.size.billable_hours} hours within six"
        filter    = "${local.run_metric}/container/billable_instance_time\""
        aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = []
        period    = 21600, duration = 0
        threshold = local.size.billable_hours * 3600
      }
      sign-in-failures = {
        title     = "Many callers were refused"
        filter    = "resource.type = \"cloud_run_revision\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.refused.name}\""
        aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = []
        period    = 300, duration = 0
        threshold = 100
      }
      admin-down = {
        title     = "Admin does not answer"
        filter    = "resource.type = \"uptime_url\" AND metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id = \"${google_monitoring_uptime_check_config.admin.uptime_check_id}\""
        aligner   = "ALIGN_NEXT_OLDER", reducer = "REDUCE_COUNT_FALSE", group = ["resource.labels.host"]
        period    = 300, duration = 300
        threshold = 1
      }
    },
    local.uses_cloud_sql ? {
      database-busy = {
        title     = "The database's processor is busy"
        filter    = "${local.database_metric}/cpu/utilization\""
        aligner   = "ALIGN_MEAN", reducer = "REDUCE_MAX", group = []
        period    = 300, duration = 900
        threshold = 0.9
      }
      database-connections = {
        title     = "The database is running out of connections"
        filter    = "${local.database_metric}/postgresql/num_backends\""
        aligner   = "ALIGN_MAX", reducer = "REDUCE_SUM", group = []
        period    = 60, duration = 300
        threshold = floor(local.database.max_connections * 0.85)
      }
      database-disk = {
        title     = "The database's disk is nearly full"
        filter    = "${local.database_metric}/disk/utilization\""
        aligner   = "ALIGN_MEAN", reducer = "REDUCE_MAX", group = []
        period    = 300, duration = 900
        threshold = 0.9
      }
    } : {},
  )
  runbook = { for alert in concat(keys(local.alerts), ["errors", "ticks-missing"]) : alert => "[What it means, how to investigate, how to fix it](${var.runbook_url}#${alert})" }
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = var.alert_emails
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
  depends_on   = [google_project_service.apis]
}

resource "google_logging_metric" "gauges" {
  for_each        = local.gauges
  name            = "${var.name}/${each.key}"
  description     = "Trombi: ${each.value.text}"
  filter          = "${local.run_filter} AND jsonPayload.message = \"gauges\" AND jsonPayload.function = \"callback\""
  value_extractor = "EXTRACT(jsonPayload.${each.key})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 64
      growth_factor      = 1.4
      scale              = 0.01
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_logging_metric" "refused" {
  name        = "${var.name}/refused_callers"
  description = "Trombi: callers without a valid token"
  filter      = "${local.run_filter} AND jsonPayload.message = \"authentication failed\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.apis]
}

resource "google_monitoring_uptime_check_config" "admin" {
  display_name = "${var.name} admin"
  period       = "300s"
  timeout      = "30s"

  http_check {
    # Google's front end does not forward requests for /healthz to the service.
    path         = "/openapi.json"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      host       = trimprefix(google_cloud_run_v2_service.this["admin"].uri, "https://")
      project_id = var.project_id
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.public]
}

resource "google_monitoring_alert_policy" "thresholds" {
  for_each              = local.alerts
  display_name          = "Trombi: ${each.value.title}"
  combiner              = "OR"
  severity              = contains(["admin-down", "dead-letters", "outbox"], each.key) ? "CRITICAL" : "WARNING"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = each.value.title
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "${each.value.duration}s"
      aggregations {
        alignment_period     = "${each.value.period}s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = each.value.group
      }
      trigger {
        count = 1
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "Trombi (${var.project_id}): ${each.value.title}"
    content   = local.runbook[each.key]
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_metric.gauges]
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "Trombi: Requests fail"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "More than 5 % of a function's requests are answered with 5xx"
    condition_threshold {
      filter             = "${local.run_metric}/request_count\" AND metric.labels.response_code_class = \"5xx\""
      denominator_filter = "${local.run_metric}/request_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.05
      duration           = "600s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
      trigger {
        count = 1
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "Trombi (${var.project_id}): Requests fail"
    content   = local.runbook["errors"]
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "ticks_missing" {
  display_name          = "Trombi: The tick has stopped"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "No tick has ended well for 10 minutes"
    condition_absent {
      filter   = local.gauge_filter["pending_jobs"]
      duration = "600s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "Trombi (${var.project_id}): The tick has stopped"
    content   = local.runbook["ticks-missing"]
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_metric.gauges]
}

resource "google_billing_budget" "monthly" {
  count           = var.billing_account == null ? 0 : 1
  billing_account = var.billing_account
  display_name    = "Trombi in ${var.project_id}"

  budget_filter {
    projects = ["projects/${local.project_number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 0.9
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    # A budget can notify at most five channels.
    monitoring_notification_channels = slice(sort([for channel in google_monitoring_notification_channel.email : channel.id]), 0, min(5, length(var.alert_emails)))
  }

  depends_on = [google_project_service.apis]
}
