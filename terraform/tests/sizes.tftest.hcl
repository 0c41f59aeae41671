# A larger size has more capacity. tests/terraform verifies that each size can be applied.

variables {
  alert_emails    = ["ops@example.org"]
  project_id      = "a-project"
  secret_versions = { jwt-secret = 1 }
  secrets         = { jwt-secret = "a-given-jwt-secret-of-48-characters-and-no-fewer" }
  images = {
    admin    = "r/admin@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    callback = "r/callback@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    cluster  = "r/cluster@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    detect   = "r/detect@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    migrate  = "r/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }
  deletion_protection = false
}

run "small" {
  command = plan

  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.this : service.template[0].scaling[0].min_instance_count == 0])
    error_message = "small should scale to zero"
  }
}

run "medium" {
  command = plan

  variables {
    size = "medium"
  }
  assert {
    condition     = alltrue([for name, service in google_cloud_run_v2_service.this : service.template[0].scaling[0].max_instance_count > run.small.instances[name]])
    error_message = "medium should scale further than small"
  }
}

run "large_with_a_database_of_ones_own" {
  command = plan

  variables {
    size            = "large"
    database        = { external = true }
    secret_versions = { jwt-secret = 1, database-url = 1 }
    secrets         = { jwt-secret = "a-given-jwt-secret-of-48-characters-and-no-fewer", database-url = "postgresql://trombi:secret@db.example.org/trombi" }
  }
  assert {
    condition     = length(google_sql_database_instance.this) == 0 && length(google_compute_network.this) == 0
    error_message = "with an external database there should be no Cloud SQL"
  }
  assert {
    condition     = alltrue([for name, service in google_cloud_run_v2_service.this : service.template[0].scaling[0].max_instance_count > run.medium.instances[name]])
    error_message = "large should scale further than medium"
  }
}
