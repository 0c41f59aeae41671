# Each function and job has its own account without roles on the project. Roles are granted on the resources it uses.
resource "google_service_account" "functions" {
  for_each     = local.functions
  account_id   = "${var.name}-${each.key}"
  display_name = "Trombi ${each.key}"
  depends_on   = [google_project_service.apis]
}

resource "google_service_account" "jobs" {
  for_each     = toset(["migrate", "replay", "smoke"])
  account_id   = "${var.name}-${each.key}"
  display_name = "Trombi ${each.key} job"
  depends_on   = [google_project_service.apis]
}

# The identity that Pub/Sub uses to push messages to the functions.
resource "google_service_account" "push" {
  account_id   = "${var.name}-push"
  display_name = "Trombi: Pub/Sub pushes to the functions"
  depends_on   = [google_project_service.apis]
}

resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
  # Pub/Sub's own account exists only after the first Pub/Sub resource has been created.
  depends_on = [google_pubsub_topic.live]
}
