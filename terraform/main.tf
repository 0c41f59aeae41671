locals {
  # Topics, subscriptions, retries and dead letters are declared only here. The emulated cloud reads the same file.
  bus = jsondecode(file("${path.module}/../shared/bus.json"))

  functions      = toset(["admin", "callback", "cluster", "detect"])
  labels         = merge({ app = var.name, managed-by = "terraform", size = var.size }, var.labels)
  project_number = data.google_project.this.number
  pubsub_agent   = "serviceAccount:service-${local.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  uses_cloud_sql = !var.database.external

  # Cloud Run's address of a service follows from its name, project and region, so it is known before the service exists.
  public_url = coalesce(var.public_url, "https://${var.name}-admin-${local.project_number}.${var.region}.run.app")

  # Pub/Sub redelivers a message after the ack deadline. The function's timeout is a little shorter, so that a request
  # never still runs when its message is redelivered.
  ack_deadlines = {
    for function in local.functions : function => min(concat(
      flatten([for topic in local.bus.topics : [for to in topic.subscriptions : to.ack_deadline_seconds if to.function == function]]),
      local.dead_letter.subscription.function == function ? [local.dead_letter.subscription.ack_deadline_seconds] : [],
      # Admin receives no pushes. It streams an event's progress, in requests of up to 5 minutes.
      function == "admin" ? [310] : [],
    )...)
  }
  timeout_seconds = { for function, deadline in local.ack_deadlines : function => deadline - 10 }

  # pool: database connections per instance. The sum of max × pool over all services stays below max_connections.
  sizes = {
    small = {
      admin           = { concurrency = 20, cpu = "1", max = 2, memory = "2Gi", min = 0, pool = 10 }
      callback        = { concurrency = 8, cpu = "1", max = 2, memory = "512Mi", min = 0, pool = 4 }
      cluster         = { concurrency = 1, cpu = "1", max = 1, memory = "2Gi", min = 0, pool = 2 }
      detect          = { concurrency = 6, cpu = "2", max = 3, memory = "4Gi", min = 0, pool = 2 }
      billable_hours  = 4
      max_connections = 50
      regional        = false
      subnet          = "10.8.0.0/24"
      tier            = "db-g1-small"
    }
    medium = {
      admin           = { concurrency = 40, cpu = "1", max = 4, memory = "2Gi", min = 1, pool = 16 }
      callback        = { concurrency = 16, cpu = "1", max = 4, memory = "1Gi", min = 0, pool = 6 }
      cluster         = { concurrency = 1, cpu = "2", max = 4, memory = "4Gi", min = 0, pool = 2 }
      detect          = { concurrency = 6, cpu = "2", max = 20, memory = "4Gi", min = 0, pool = 2 }
      billable_hours  = 24
      max_connections = 200
      regional        = false
      subnet          = "10.8.0.0/23"
      tier            = "db-custom-2-7680"
    }
    large = {
      admin           = { concurrency = 40, cpu = "2", max = 10, memory = "2Gi", min = 2, pool = 14 }
      callback        = { concurrency = 16, cpu = "2", max = 8, memory = "1Gi", min = 1, pool = 8 }
      cluster         = { concurrency = 1, cpu = "4", max = 10, memory = "8Gi", min = 0, pool = 2 }
      detect          = { concurrency = 6, cpu = "4", max = 60, memory = "8Gi", min = 1, pool = 2 }
      billable_hours  = 240
      max_connections = 400
      regional        = true
      subnet          = "10.8.0.0/22"
      tier            = "db-custom-4-15360"
    }
  }
  size = local.sizes[var.size]

  # An instance with a GPU does the work of many without. Cloud Run requires at least this much CPU and memory with a GPU.
  gpu_detect = { concurrency = 6, cpu = "4", max = var.gpu_max_instances, memory = "16Gi", min = local.size.detect.min, pool = 4 }

  services = merge(
    {
      for function in local.functions : function => merge(
        { function = function, gpu = null, is_public = function == "admin", arguments = null },
        local.size[function],
        function == "detect" && var.gpu != null ? merge(local.gpu_detect, { gpu = var.gpu }) : {},
        # The photos that an instance accepts, and two requests more, for deletions and for answers of 429 when it is full.
        # Without the two, detect could not refuse a photo, and Cloud Run would queue it unnoticed.
        function == "detect" ? { concurrency = max(local.size.detect.concurrency, var.detect.face_photos_at_once + var.detect.face_photos_waiting + 2) } : {},
      )
    },
    # Workers outside Google Cloud use a service that answers only signed requests. Callback itself stays private.
    var.signed_callback ? {
      signed-callback = merge(local.size.callback, {
        arguments = [
          "functions-framework", "--target", "signed", "--source", "functions/callback/main.py", "--host", "0.0.0.0",
        ]
        function  = "callback"
        gpu       = null
        is_public = true
        min       = 0
      })
    } : {},
  )

  apis = toset([
    "artifactregistry", "billingbudgets", "cloudresourcemanager", "cloudscheduler", "compute", "iam", "logging",
    "monitoring", "pubsub", "run", "secretmanager", "servicenetworking", "sqladmin", "storage",
  ])
}

data "google_project" "this" {
  project_id = var.project_id
}

resource "google_project_service" "apis" {
  for_each           = local.apis
  project            = var.project_id
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of Trombi's functions and jobs"

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "keep-the-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-the-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
      tag_state  = "ANY"
    }
  }

  depends_on = [google_project_service.apis]
}
