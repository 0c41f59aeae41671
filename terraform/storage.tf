locals {
  # The role of each account on the buckets. The derived bucket contains thumbnails of faces.
  bucket_roles = {
    "admin/derived"    = { role = "roles/storage.objectViewer", bucket = google_storage_bucket.derived.name }
    "admin/photos"     = { role = "roles/storage.objectViewer", bucket = google_storage_bucket.photos.name }
    "callback/derived" = { role = "roles/storage.objectUser", bucket = google_storage_bucket.derived.name }
    "detect/derived"   = { role = "roles/storage.objectUser", bucket = google_storage_bucket.derived.name }
    "detect/photos"    = { role = "roles/storage.objectViewer", bucket = google_storage_bucket.photos.name }
    "smoke/photos"     = { role = "roles/storage.objectUser", bucket = google_storage_bucket.photos.name }
  }
}

data "google_storage_project_service_account" "this" {
  project    = var.project_id
  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket" "photos" {
  name                        = "${var.project_id}-${var.name}-photos"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  # With versioning, deleting a photo would only archive it, and its faces would stay.
  versioning {
    enabled = false
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  dynamic "cors" {
    for_each = length(var.upload_origins) > 0 ? [sort(var.upload_origins)] : []
    content {
      origin          = cors.value
      method          = ["PUT", "POST"]
      response_header = ["Content-Type", "x-goog-resumable"]
      max_age_seconds = 3600
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket" "derived" {
  name                        = "${var.project_id}-${var.name}-derived"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  # The thumbnails can be generated again from the photos.
  force_destroy = true

  versioning {
    enabled = false
  }

  # By default, deleted objects are kept for a week. Purged thumbnails must be gone at once.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket_iam_member" "accounts" {
  for_each = local.bucket_roles
  bucket   = each.value.bucket
  role     = each.value.role
  member   = local.members[split("/", each.key)[0]]
}

resource "google_storage_bucket_iam_member" "uploaders" {
  for_each = var.uploaders
  bucket   = google_storage_bucket.photos.name
  role     = "roles/storage.objectUser"
  member   = each.key
}

resource "google_pubsub_topic_iam_member" "storage" {
  topic  = google_pubsub_topic.live[local.uploads_topic].id
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.this.member
}

resource "google_storage_notification" "uploads" {
  bucket         = google_storage_bucket.photos.name
  topic          = google_pubsub_topic.live[local.uploads_topic].id
  payload_format = "JSON_API_V1"
  event_types    = ["OBJECT_FINALIZE", "OBJECT_DELETE"]
  # Cloud Storage tries to publish when this is created, and the subscriptions must exist before the first upload.
  depends_on = [google_pubsub_topic_iam_member.storage, google_pubsub_subscription.live, google_pubsub_subscription.dead]
}
