locals {
  # Secrets that Terraform generates. To generate a new value, increase the version in secret_versions.
  made_secrets = merge(
    { invitation-secret = 1 },
    local.uses_cloud_sql ? { database-password = 1 } : {},
  )
  # A secret composed of other secrets. Its version follows theirs.
  composed_secrets = local.uses_cloud_sql ? { database-url = local.secret_versions["database-password"] } : {}

  given_secrets   = { for secret, version in var.secret_versions : secret => version if !contains(keys(local.made_secrets), secret) }
  secret_versions = merge(local.made_secrets, var.secret_versions)
  secrets         = toset(concat(keys(local.made_secrets), keys(local.given_secrets), keys(local.composed_secrets)))

  migrate_database_secret = contains(keys(local.given_secrets), "migrate-database-url") ? "migrate-database-url" : "database-url"

  # For each reader, its environment variables and the secrets they contain.
  secret_variables = {
    admin    = { DATABASE_URL = "database-url", INVITATION_SECRET = "invitation-secret", JWT_SECRET = "jwt-secret" }
    callback = { CALLBACK_SECRETS = "callback-secrets", DATABASE_URL = "database-url", INVITATION_SECRET = "invitation-secret", SMTP_URL = "smtp-url" }
    cluster  = { DATABASE_URL = "database-url" }
    detect   = { DATABASE_URL = "database-url" }
    migrate  = { DATABASE_URL = local.migrate_database_secret }
    replay   = { DATABASE_URL = "database-url" }
    smoke    = { DATABASE_URL = "database-url" }
  }
  # The same, without secrets that were not provided.
  read_secrets = {
    for reader, variables in local.secret_variables : reader => {
      for variable, secret in variables : variable => secret if contains(local.secrets, secret)
    }
  }
  secret_readers = merge([
    for reader, variables in local.read_secrets : {
      for secret in values(variables) : "${secret}/${reader}" => { reader = reader, secret = secret }
    }
  ]...)

  secret_version_names = merge(
    { for secret, version in google_secret_manager_secret_version.made : secret => version.version },
    { for secret, version in google_secret_manager_secret_version.given : secret => version.version },
    { for version in google_secret_manager_secret_version.database_url : "database-url" => version.version },
  )
}

ephemeral "random_password" "made" {
  for_each = local.made_secrets
  length   = 48
  special  = false
}

resource "google_secret_manager_secret" "this" {
  for_each            = local.secrets
  secret_id           = "${var.name}-${each.key}"
  deletion_protection = false
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.apis]
}

# Values are written and never read back, so neither the plan nor the state contains them.
resource "google_secret_manager_secret_version" "made" {
  for_each               = local.made_secrets
  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = ephemeral.random_password.made[each.key].result
  secret_data_wo_version = local.secret_versions[each.key]
  deletion_policy        = "DELETE"
}

resource "google_secret_manager_secret_version" "given" {
  for_each               = local.given_secrets
  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = lookup(var.secrets, each.key, null)
  secret_data_wo_version = each.value
  deletion_policy        = "DELETE"
}

# The password is read from Secret Manager, not taken from the value just generated. So if an apply is interrupted and
# repeated, the database user and the address get the same password.
ephemeral "google_secret_manager_secret_version" "database_password" {
  count   = local.uses_cloud_sql ? 1 : 0
  secret  = google_secret_manager_secret.this["database-password"].id
  version = google_secret_manager_secret_version.made["database-password"].version
}

resource "google_secret_manager_secret_version" "database_url" {
  count  = local.uses_cloud_sql ? 1 : 0
  secret = google_secret_manager_secret.this["database-url"].id
  secret_data_wo = format(
    "postgresql://%s:%s@%s/%s?sslmode=require",
    google_sql_user.this[0].name,
    ephemeral.google_secret_manager_secret_version.database_password[0].secret_data,
    google_sql_database_instance.this[0].private_ip_address,
    google_sql_database.this[0].name,
  )
  secret_data_wo_version = local.composed_secrets["database-url"]
  deletion_policy        = "DELETE"

  lifecycle {
    # A new instance has a new address.
    replace_triggered_by = [google_sql_database_instance.this[0].private_ip_address]
  }
}

resource "google_secret_manager_secret_iam_member" "readers" {
  for_each  = local.secret_readers
  secret_id = google_secret_manager_secret.this[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members[each.value.reader]
}
