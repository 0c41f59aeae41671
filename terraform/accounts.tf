# One account for every function and job, with no role on the project: each gets what it needs on the resource itself.
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

# Whom Pub/Sub says it is when it pushes.
resource "google_service_account" "push" {
  account_id   = "${var.name}-push"
  display_name = "Trombi: Pub/Sub pushes to the functions"
  depends_on   = [google_project_service.apis]
}

resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
  # Pub/Sub's own account exists once something of Pub/Sub does.
  depends_on = [google_pubsub_topic.live]
}
