locals {
  database = {
    backup_days     = var.database.backup_days
    disk_gb         = var.database.disk_gb
    max_connections = coalesce(var.database.max_connections, local.size.max_connections)
    regional        = coalesce(var.database.regional, local.size.regional)
    tier            = coalesce(var.database.tier, local.size.tier)
    version         = var.database.postgres_version
  }
}

resource "google_compute_network" "this" {
  count                   = local.uses_cloud_sql ? 1 : 0
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.apis]
}

# Each instance of a function takes an address of this subnet, and two while it is replaced. Addresses are allocated
# in blocks of 16.
resource "google_compute_subnetwork" "functions" {
  count                    = local.uses_cloud_sql ? 1 : 0
  name                     = "${var.name}-functions"
  network                  = google_compute_network.this[0].id
  region                   = var.region
  ip_cidr_range            = local.size.subnet
  private_ip_google_access = true
}

resource "google_compute_global_address" "database" {
  count         = local.uses_cloud_sql ? 1 : 0
  name          = "${var.name}-database"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 24
  network       = google_compute_network.this[0].id
}

resource "google_service_networking_connection" "database" {
  count                   = local.uses_cloud_sql ? 1 : 0
  network                 = google_compute_network.this[0].id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.database[0].name]
  # Google keeps the peering for some days after the last instance is deleted, so deleting it would fail.
  deletion_policy = "ABANDON"
}

resource "google_sql_database_instance" "this" {
  count               = local.uses_cloud_sql ? 1 : 0
  name                = "${var.name}-${lower(replace(local.database.version, "POSTGRES_", "pg"))}"
  database_version    = local.database.version
  region              = var.region
  deletion_protection = var.deletion_protection

  settings {
    tier                        = local.database.tier
    edition                     = "ENTERPRISE"
    availability_type           = local.database.regional ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = local.database.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    user_labels                 = local.labels

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this[0].id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      location                       = var.region
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, local.database.backup_days)
      backup_retention_settings {
        retained_backups = local.database.backup_days
      }
    }

    database_flags {
      name  = "max_connections"
      value = local.database.max_connections
    }

    insights_config {
      query_insights_enabled  = true
      record_client_address   = false
      record_application_tags = false
    }

    maintenance_window {
      day          = 2
      hour         = 3
      update_track = "stable"
    }
  }

  lifecycle {
    # The disk grows automatically.
    ignore_changes = [settings[0].disk_size]
  }

  depends_on = [google_service_networking_connection.database]
}

resource "google_sql_database" "this" {
  count    = local.uses_cloud_sql ? 1 : 0
  name     = "trombi"
  instance = google_sql_database_instance.this[0].name
  # The database is deleted with its instance, which is protected. A database with open connections cannot be dropped.
  deletion_policy = "ABANDON"
}

resource "google_sql_user" "this" {
  count               = local.uses_cloud_sql ? 1 : 0
  name                = "trombi"
  instance            = google_sql_database_instance.this[0].name
  password_wo         = ephemeral.google_secret_manager_secret_version.database_password[0].secret_data
  password_wo_version = local.secret_versions["database-password"]
  # A role that owns tables cannot be dropped. It is deleted with its instance.
  deletion_policy = "ABANDON"
}
