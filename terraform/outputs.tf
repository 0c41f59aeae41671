output "accounts" {
  description = "E-mail address of the service account of each function and job."
  value = merge(
    { for function, account in google_service_account.functions : function => account.email },
    { for job, account in google_service_account.jobs : job => account.email },
  )
}

output "dashboard" {
  description = "Address of the project's dashboards."
  value       = "https://console.cloud.google.com/monitoring/dashboards?project=${var.project_id}"
}

output "database" {
  description = "Connection name of the Cloud SQL instance; null if you use your own database."
  value       = one(google_sql_database_instance.this[*].connection_name)
}

output "derived_bucket" {
  description = "Name of the thumbnails bucket."
  value       = google_storage_bucket.derived.name
}

output "instances" {
  description = "Maximum number of instances of each service."
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
  description = "Name of the bucket to which photos are uploaded, as events/{event_id}/{media_id}/{filename}."
  value       = google_storage_bucket.photos.name
  # Uploads may start as soon as this output is known.
  depends_on = [google_storage_notification.uploads]
}

output "registry" {
  description = "Address of the registry that contains the images."
  value       = "${google_artifact_registry_repository.images.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "signed_callback_url" {
  description = "Address at which workers outside Google Cloud report results; null without signed_callback."
  value       = try("${google_cloud_run_v2_service.this["signed-callback"].uri}/ml/callback", null)
}

output "topics" {
  description = "IDs of the topics by name. A host app may subscribe to notifications."
  value       = { for name, topic in google_pubsub_topic.live : name => topic.id }
}

output "url" {
  description = "Address of admin."
  value       = local.public_url
}
