output "accounts" {
  description = "E-mail of each function's and job's service account."
  value = merge(
    { for function, account in google_service_account.functions : function => account.email },
    { for job, account in google_service_account.jobs : job => account.email },
  )
}

output "dashboard" {
  description = "Where the dashboard is."
  value       = "https://console.cloud.google.com/monitoring/dashboards?project=${var.project_id}"
}

output "database" {
  description = "Connection name of the Cloud SQL instance; null with a database of your own."
  value       = one(google_sql_database_instance.this[*].connection_name)
}

output "derived_bucket" {
  description = "Bucket of the thumbnails."
  value       = google_storage_bucket.derived.name
}

output "instances" {
  description = "Most instances of each service."
  value       = { for name, made in local.services : name => made.max }
}

output "jobs" {
  description = "Names of the Cloud Run jobs: migrate, replay, smoke."
  value = merge(
    { migrate = google_cloud_run_v2_job.migrate.name },
    { for job, made in google_cloud_run_v2_job.operator : job => made.name },
  )
}

output "photos_bucket" {
  description = "Bucket that photos are uploaded to, as events/{event_id}/{media_id}/{filename}."
  value       = google_storage_bucket.photos.name
  # Whoever reads this may upload at once.
  depends_on = [google_storage_notification.uploads]
}

output "registry" {
  description = "Where the images are kept."
  value       = "${google_artifact_registry_repository.images.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "signed_callback_url" {
  description = "Where workers outside Google Cloud report, with signed_callback; else null."
  value       = try("${google_cloud_run_v2_service.this["signed-callback"].uri}/ml/callback", null)
}

output "topics" {
  description = "The topics by name; a host app may subscribe to notifications."
  value       = { for name, topic in google_pubsub_topic.live : name => topic.id }
}

output "url" {
  description = "Where admin answers."
  value       = local.public_url
}
