# Invalid values of variables are refused, with a helpful message.

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
}

run "the_least_that_will_do" {
  command = plan

  assert {
    condition     = output.photos_bucket == "a-project-trombi-photos"
    error_message = "the photos bucket has another name"
  }
}

run "image_by_tag" {
  command = plan
  variables {
    images = { admin = "r/admin:1", callback = "r/callback:1", cluster = "r/cluster:1", detect = "r/detect:1", migrate = "r/migrate:1" }
  }
  expect_failures = [var.images]
}

run "image_missing" {
  command = plan
  variables {
    images = { admin = "r/admin@sha256:0000000000000000000000000000000000000000000000000000000000000000" }
  }
  expect_failures = [var.images]
}

run "no_images_yet" {
  command = plan
  variables {
    images = null
  }
  expect_failures = [google_cloud_run_v2_job.migrate]
}

run "nobody_could_sign_in" {
  command = plan
  variables {
    secret_versions = {}
  }
  expect_failures = [var.admin]
}

run "keys_in_the_clear" {
  command = plan
  variables {
    admin = { jwt_jwks_url = "http://auth.example.org/keys" }
  }
  expect_failures = [var.admin]
}

run "nobody_hears_alerts" {
  command = plan
  variables {
    alert_emails = []
  }
  expect_failures = [var.alert_emails]
}

run "a_name_that_is_too_long_for_accounts" {
  command = plan
  variables {
    name = "face-recognition"
  }
  expect_failures = [var.name]
}

run "a_project_number" {
  command = plan
  variables {
    project_id = "123456789012"
  }
  expect_failures = [var.project_id]
}

run "a_zone" {
  command = plan
  variables {
    region = "europe-west1-b"
  }
  expect_failures = [var.region]
}

run "a_size_that_is_none" {
  command = plan
  variables {
    size = "huge"
  }
  expect_failures = [var.size]
}

run "an_external_database_without_its_address" {
  command = plan
  variables {
    database = { external = true }
  }
  expect_failures = [var.database]
}

run "an_address_that_nobody_uses" {
  command = plan
  variables {
    secret_versions = { jwt-secret = 1, database-url = 1 }
  }
  expect_failures = [var.database]
}

run "an_old_postgres" {
  command = plan
  variables {
    database = { postgres_version = "POSTGRES_13" }
  }
  expect_failures = [var.database]
}

run "backups_that_outlive_an_erasure_for_long" {
  command = plan
  variables {
    database = { backup_days = 365 }
  }
  expect_failures = [var.database]
}

run "a_gpu_that_cloud_run_has_not" {
  command = plan
  variables {
    gpu = "nvidia-a100"
  }
  expect_failures = [var.gpu]
}

run "half_a_gpu" {
  command = plan
  variables {
    gpu_max_instances = 0.5
  }
  expect_failures = [var.gpu_max_instances]
}

run "mail_from_nobody" {
  command = plan
  variables {
    secret_versions = { jwt-secret = 1, smtp-url = 1 }
    secrets         = { jwt-secret = "a-given-jwt-secret-of-48-characters-and-no-fewer", smtp-url = "smtp://mail.example.org" }
  }
  expect_failures = [var.mail_from]
}

run "a_secret_that_nobody_knows" {
  command = plan
  variables {
    secret_versions = { jwt-secret = 1, jwt_key = 1 }
  }
  expect_failures = [var.secret_versions]
}

run "a_version_that_is_none" {
  command = plan
  variables {
    secret_versions = { jwt-secret = 0 }
  }
  expect_failures = [var.secret_versions]
}

run "a_signed_entry_without_keys" {
  command = plan
  variables {
    signed_callback = true
  }
  expect_failures = [var.signed_callback]
}

run "every_page_may_upload" {
  command = plan
  variables {
    upload_origins = ["*"]
  }
  expect_failures = [var.upload_origins]
}

run "everybody_may_upload" {
  command = plan
  variables {
    uploaders = ["allUsers"]
  }
  expect_failures = [var.uploaders]
}

run "an_address_with_a_path" {
  command = plan
  variables {
    public_url = "https://photos.example.org/trombi"
  }
  expect_failures = [var.public_url]
}

run "a_job_that_is_stuck_while_it_runs" {
  command = plan
  variables {
    callback = { job_stuck_after = 60 }
  }
  expect_failures = [var.callback]
}

run "shouting" {
  command = plan
  variables {
    log_level = "LOUD"
  }
  expect_failures = [var.log_level]
}

run "a_free_lunch" {
  command = plan
  variables {
    monthly_budget = 0
  }
  expect_failures = [var.monthly_budget]
}
