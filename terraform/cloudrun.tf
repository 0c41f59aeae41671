locals {
  members = merge(
    { for function, account in google_service_account.functions : function => account.member },
    { for job, account in google_service_account.jobs : job => account.member },
  )

  common_variables = {
    DATABASE_POOL_SIZE   = null
    GOOGLE_CLOUD_PROJECT = var.project_id
    LOG_LEVEL            = var.log_level
  }

  face_calibration = var.face_calibration == null ? null : jsonencode(var.face_calibration)
  # Limits on photos, for detect, which analyses them, and admin, which shows them.
  photo_variables = {
    MAX_PHOTO_BYTES  = var.detect.max_photo_bytes
    MAX_PHOTO_MEMORY = var.detect.max_photo_memory
    MAX_PHOTO_PIXELS = var.detect.max_photo_pixels
  }

  # Every environment variable that a function's settings read, except secrets; null omits a variable. The image sets
  # the variables of its own content (the model pack). A test compares this list with the settings classes.
  variables = {
    admin = merge(local.common_variables, local.photo_variables, {
      CORS_ORIGINS      = join(",", var.admin.cors_origins)
      DERIVED_BUCKET    = google_storage_bucket.derived.name
      FACE_CALIBRATION  = local.face_calibration
      INVITATION_DAYS   = var.admin.invitation_days
      JWKS_MIN_INTERVAL = var.admin.jwks_min_interval
      JWKS_TIMEOUT      = var.admin.jwks_timeout
      JWT_AUDIENCE      = var.admin.jwt_audience
      JWT_ISSUER        = var.admin.jwt_issuer
      JWT_JWKS_URL      = var.admin.jwt_jwks_url
      MAIL_FROM         = var.mail_from
      OIDC_JWKS_URL     = var.admin.oidc_jwks_url
      PUBLIC_URL        = local.public_url
      SERVICE_ACCOUNTS  = join(",", sort(var.service_callers))
      SERVICE_AUDIENCE  = local.public_url
    })
    callback = merge(local.common_variables, {
      CLUSTER_EVERY        = var.callback.cluster_every
      CLUSTER_MAX_WAIT     = var.callback.cluster_max_wait
      CLUSTER_MIN_INTERVAL = var.callback.cluster_min_interval
      DERIVED_BUCKET       = google_storage_bucket.derived.name
      JOB_MAX_ATTEMPTS     = var.callback.job_max_attempts
      JOB_STUCK_AFTER      = var.callback.job_stuck_after
      LOW_PRIORITY_BATCH   = var.callback.low_priority_batch
      MAIL_FROM            = var.mail_from
      PHOTO_GRACE          = var.callback.photo_grace
      PUBLIC_URL           = local.public_url
      RETENTION_DAYS       = var.callback.retention_days
    })
    cluster = merge(local.common_variables, {
      CLUSTER_JOIN_SIMILARITY   = var.cluster.cluster_join_similarity
      CLUSTER_MAX_DISTANCE      = var.cluster.cluster_max_distance
      CLUSTER_MIN_CLUSTER_SIZE  = var.cluster.cluster_min_cluster_size
      CLUSTER_MIN_SAMPLES       = var.cluster.cluster_min_samples
      CLUSTER_PAIRS             = var.cluster.cluster_pairs
      CLUSTER_SELECTION_EPSILON = var.cluster.cluster_selection_epsilon
      DASK_SCHEDULER_ADDRESS    = var.cluster.dask_scheduler_address
      FACE_CALIBRATION          = local.face_calibration
    })
    detect = merge(local.common_variables, local.photo_variables, {
      DERIVED_BUCKET      = google_storage_bucket.derived.name
      FACE_MIRRORED       = var.detect.face_mirrored
      FACE_PATIENCE       = var.detect.face_patience
      FACE_PHOTOS_AT_ONCE = var.detect.face_photos_at_once
      FACE_PHOTOS_WAITING = var.detect.face_photos_waiting
      FACE_THREADS        = var.detect.face_threads
      PHOTOS_BUCKET       = google_storage_bucket.photos.name
    })
  }

  environments = {
    for service, made in local.services : service => {
      for name, value in merge(local.variables[made.function], {
        DATABASE_POOL_SIZE = made.pool
        # Read by functions-framework: the number of requests served at a time, equal to the concurrency of the service.
        THREADS = made.concurrency
      }) : name => tostring(value) if value != null
    }
  }

  jobs = {
    replay = { image = "callback", arguments = ["python", "-m", "operations.replay"], variables = ["GOOGLE_CLOUD_PROJECT", "LOG_LEVEL"] }
    smoke  = { image = "callback", arguments = ["python", "-m", "operations.smoke"], variables = ["GOOGLE_CLOUD_PROJECT", "LOG_LEVEL"] }
  }

  networks = local.uses_cloud_sql ? [{
    network    = google_compute_network.this[0].id
    subnetwork = google_compute_subnetwork.functions[0].id
  }] : []
}

resource "google_cloud_run_v2_service" "this" {
  for_each            = local.services
  name                = "${var.name}-${each.key}"
  location            = var.region
  description         = "Trombi ${each.key}"
  ingress             = each.value.is_public ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = var.deletion_protection

  template {
    service_account                  = google_service_account.functions[each.value.function].email
    timeout                          = "${local.timeout_seconds[each.value.function]}s"
    max_instance_request_concurrency = each.value.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    gpu_zonal_redundancy_disabled    = each.value.gpu == null ? null : true

    scaling {
      min_instance_count = each.value.min
      max_instance_count = each.value.max
    }

    dynamic "node_selector" {
      for_each = each.value.gpu == null ? [] : [each.value.gpu]
      content {
        accelerator = node_selector.value
      }
    }

    dynamic "vpc_access" {
      for_each = local.networks
      content {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }

    containers {
      image = var.images[each.value.function]
      args  = each.value.arguments

      resources {
        limits = merge(
          { cpu = each.value.cpu, memory = each.value.memory },
          each.value.gpu == null ? {} : { "nvidia.com/gpu" = "1" },
        )
        # An instance with a GPU is billed for its whole lifetime, others only while they handle requests.
        cpu_idle          = each.value.gpu == null
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.environments[each.key]
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.read_secrets[each.value.function]
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.this[env.value].secret_id
              version = local.secret_version_names[env.value]
            }
          }
        }
      }

      ports {
        container_port = 8080
      }

      # Succeeds once the settings are read and the model is loaded.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 60
        http_get {
          path = "/healthz"
          port = 8080
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [
    google_cloud_run_v2_job.migrate,
    google_pubsub_topic_iam_member.publishers,
    google_secret_manager_secret_iam_member.readers,
    google_storage_bucket_iam_member.accounts,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.pushed_to
  name     = google_cloud_run_v2_service.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Both public services authenticate callers themselves: admin by a bearer token, signed-callback by an HMAC.
resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = toset([for name, made in local.services : name if made.is_public])
  name     = google_cloud_run_v2_service.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

# Runs when it is created and whenever it changes, and is ready only after it has succeeded. So a function is never
# newer than the database schema.
resource "google_cloud_run_v2_job" "migrate" {
  name                = "${var.name}-migrate"
  location            = var.region
  deletion_protection = false
  launch_stage        = "BETA"
  run_execution_token = substr(sha256(jsonencode([
    try(var.images["migrate"], ""), local.secret_version_names[local.migrate_database_secret], local.networks,
  ])), 0, 10)

  template {
    template {
      service_account = google_service_account.jobs["migrate"].email
      max_retries     = 0
      timeout         = "3600s"

      dynamic "vpc_access" {
        for_each = local.networks
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }

      containers {
        image = var.images["migrate"]
        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }
        dynamic "env" {
          for_each = local.read_secrets["migrate"]
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.this[env.value].secret_id
                version = local.secret_version_names[env.value]
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
    precondition {
      condition     = var.images != null
      error_message = "The images are missing. make images PUSH=1 builds them and writes terraform/images.auto.tfvars.json; make deploy does all steps in order."
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.readers, google_sql_user.this]
}

# Jobs that operators run inside the network: make replay and make smoke start them.
resource "google_cloud_run_v2_job" "operator" {
  for_each            = local.jobs
  name                = "${var.name}-${each.key}"
  location            = var.region
  deletion_protection = false

  template {
    template {
      service_account = google_service_account.jobs[each.key].email
      max_retries     = 0
      timeout         = "900s"

      dynamic "vpc_access" {
        for_each = local.networks
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }

      containers {
        image   = var.images[each.value.image]
        command = each.value.arguments
        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }
        dynamic "env" {
          for_each = toset(each.value.variables)
          content {
            name  = env.key
            value = local.variables.callback[env.key]
          }
        }
        dynamic "env" {
          for_each = local.read_secrets[each.key]
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.this[env.value].secret_id
                version = local.secret_version_names[env.value]
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_cloud_run_v2_job.migrate, google_secret_manager_secret_iam_member.readers]
}
