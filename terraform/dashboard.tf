locals {
  # Tiles are shown in rows of three. Each has a title, a unit, and a query: filter, aligner, reducer, group.
  tiles = concat(
    [
      { title = "Photos waiting on the bus", unit = "1", filter = "${local.pubsub_metric}/subscription/num_undelivered_messages\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", group = ["resource.labels.subscription_id"] },
      { title = "Oldest unacknowledged message", unit = "s", filter = "${local.pubsub_metric}/subscription/oldest_unacked_message_age\"", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", group = ["resource.labels.subscription_id"] },
      { title = "Dead letters", unit = "1", filter = "${local.pubsub_metric}/subscription/dead_letter_message_count\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", group = ["resource.labels.subscription_id"] },
      { title = "Jobs pending", unit = "1", filter = local.gauge_filter["pending_jobs"], aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = [] },
      { title = "Oldest job that is not done", unit = "s", filter = local.gauge_filter["oldest_pending_seconds"], aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = [] },
      { title = "Share of jobs that failed, last day", unit = "1", filter = local.gauge_filter["failed_share"], aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", group = [] },
      { title = "Requests by response code", unit = "1", filter = "${local.run_metric}/request_count\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", group = ["resource.labels.service_name", "metric.labels.response_code_class"] },
      { title = "Detection time, 95th percentile", unit = "ms", filter = "${local.run_metric}/request_latencies\" AND resource.labels.service_name = \"${var.name}-detect\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", group = [] },
      { title = "Start-up time, 95th percentile", unit = "ms", filter = "${local.run_metric}/container/startup_latencies\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", group = ["resource.labels.service_name"] },
      { title = "Instances", unit = "1", filter = "${local.run_metric}/container/instance_count\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", group = ["resource.labels.service_name"] },
      { title = "Billed instance seconds per second", unit = "1", filter = "${local.run_metric}/container/billable_instance_time\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", group = ["resource.labels.service_name"] },
      { title = "Memory in use, 95th percentile", unit = "1", filter = "${local.run_metric}/container/memory/utilizations\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", group = ["resource.labels.service_name"] },
    ],
    local.uses_cloud_sql ? [
      { title = "Database: processor", unit = "1", filter = "${local.database_metric}/cpu/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", group = [] },
      { title = "Database: connections", unit = "1", filter = "${local.database_metric}/postgresql/num_backends\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", group = [] },
      { title = "Database: disk", unit = "1", filter = "${local.database_metric}/disk/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", group = [] },
    ] : [],
  )
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "Trombi"
    mosaicLayout = {
      columns = 12
      tiles = [for number, tile in local.tiles : {
        xPos   = number % 3 * 4
        yPos   = floor(number / 3) * 4
        width  = 4
        height = 4
        widget = {
          title = tile.title
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                unitOverride = tile.unit
                timeSeriesFilter = {
                  filter = tile.filter
                  aggregation = {
                    alignmentPeriod    = "60s"
                    crossSeriesReducer = tile.reducer
                    groupByFields      = tile.group
                    perSeriesAligner   = tile.aligner
                  }
                }
              }
            }]
          }
        }
      }]
    }
  })

  depends_on = [google_project_service.apis, google_logging_metric.gauges]
}
