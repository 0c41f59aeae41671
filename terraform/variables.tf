variable "admin" {
  description = "Settings of admin, above all how it verifies tokens. Set jwt_jwks_url, the secret jwt-secret, or both."
  type = object({
    cors_origins      = optional(list(string), [])
    invitation_days   = optional(number, 30)
    jwks_min_interval = optional(number, 30)
    jwks_timeout      = optional(number, 5)
    jwt_audience      = optional(string, "authenticated")
    jwt_issuer        = optional(string)
    jwt_jwks_url      = optional(string)
    oidc_jwks_url     = optional(string, "https://www.googleapis.com/oauth2/v3/certs")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.admin.jwt_jwks_url == null || can(regex("^https://", coalesce(var.admin.jwt_jwks_url, "-")))
    error_message = "jwt_jwks_url must be an https:// address: keys fetched without encryption can be replaced on the way."
  }

  validation {
    condition     = var.admin.jwt_jwks_url != null || contains(keys(var.secret_versions), "jwt-secret")
    error_message = "Nobody could sign in: set admin.jwt_jwks_url, or the secret jwt-secret with its entry in secret_versions."
  }
}

variable "alert_emails" {
  description = "E-mail addresses that receive alerts and budget notifications."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.alert_emails) > 0 && alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Set at least one e-mail address; otherwise nobody receives the alerts."
  }
}

variable "billing_account" {
  description = "Billing account (XXXXXX-XXXXXX-XXXXXX). If it is set, Terraform creates a budget of monthly_budget with notifications."
  type        = string
  default     = null
}

variable "callback" {
  description = "Settings of callback: debouncing, the sweep for stuck or missing jobs, and retention. Times are in seconds."
  type = object({
    cluster_every        = optional(number, 20)
    cluster_max_wait     = optional(number, 120)
    cluster_min_interval = optional(number, 15)
    job_max_attempts     = optional(number, 5)
    job_stuck_after      = optional(number, 900)
    low_priority_batch   = optional(number, 20)
    photo_grace          = optional(number, 600)
    retention_days       = optional(number, 365)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.callback.job_stuck_after >= 600
    error_message = "job_stuck_after must be at least 600 s, the longest time that clustering may take: a running job is not stuck."
  }
}

variable "cluster" {
  description = "Settings of cluster. cluster_join_similarity, cluster_max_distance and cluster_pairs default to the model pack's values; off disables one. dask_scheduler_address distributes large events over several machines."
  type = object({
    cluster_join_similarity   = optional(string)
    cluster_max_distance      = optional(string)
    cluster_min_cluster_size  = optional(number, 3)
    cluster_min_samples       = optional(number, 2)
    cluster_pairs             = optional(string)
    cluster_selection_epsilon = optional(number, 0.4)
    dask_scheduler_address    = optional(string)
  })
  default  = {}
  nullable = false
}

variable "database" {
  description = "Settings of the database. By default Cloud SQL; with external, your own Postgres (Supabase, for example), whose address is the secret database-url."
  type = object({
    backup_days      = optional(number, 7)
    disk_gb          = optional(number, 10)
    external         = optional(bool, false)
    max_connections  = optional(number)
    regional         = optional(bool)
    tier             = optional(string)
    postgres_version = optional(string, "POSTGRES_17")
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^POSTGRES_(16|17|18)$", var.database.postgres_version))
    error_message = "postgres_version must be POSTGRES_16, POSTGRES_17 or POSTGRES_18."
  }

  validation {
    condition     = var.database.backup_days >= 1 && var.database.backup_days <= 30
    error_message = "backup_days must be 1 to 30: backups keep erased faces for that long, which is part of the privacy promise."
  }

  validation {
    condition     = var.database.external == contains(keys(var.secret_versions), "database-url")
    error_message = "An external database needs the secret database-url with its entry in secret_versions. With Cloud SQL, do not set it: Terraform generates it."
  }
}

variable "deletion_protection" {
  description = "Prevents the deletion of services, the database, and buckets that are not empty. Read README.md before you turn it off."
  type        = bool
  default     = true
  nullable    = false
}

variable "detect" {
  description = "Settings of detect. Those that start with max_photo_ apply to admin too. The model pack is part of the image."
  type = object({
    face_mirrored       = optional(bool, false)
    face_patience       = optional(number, 60)
    face_photos_at_once = optional(number, 2)
    face_photos_waiting = optional(number, 2)
    face_threads        = optional(number, 0)
    max_photo_bytes     = optional(number, 104857600)
    max_photo_memory    = optional(number, 1073741824)
    max_photo_pixels    = optional(number, 250000000)
  })
  default  = {}
  nullable = false
}

variable "face_calibration" {
  description = "Content of a calibration file: constants of model packs, measured on your own photos (docs/clustering.md). By default, the built-in constants are used."
  type        = any
  default     = null

  validation {
    condition     = var.face_calibration == null || try(var.face_calibration.version == 1 && length(var.face_calibration.packs) > 0, false)
    error_message = "face_calibration must be the content of a calibration file: an object with version 1 and packs."
  }

  validation {
    condition     = length(jsonencode(var.face_calibration)) < 24000
    error_message = "face_calibration must be below 24,000 characters: Cloud Run takes 32 KiB for all variables of a container."
  }
}

variable "gpu" {
  description = "Accelerator for detect: nvidia-l4, or null for none. Requires quota, a region that offers it, and make deploy GPU=1."
  type        = string
  default     = null

  validation {
    condition     = var.gpu == null || coalesce(var.gpu, "-") == "nvidia-l4"
    error_message = "gpu must be nvidia-l4: the GPU image supports no other accelerator."
  }
}

variable "gpu_max_instances" {
  description = "Maximum number of detect instances if they have a GPU. Must not exceed the project's GPU quota in the region."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.gpu_max_instances >= 1 && var.gpu_max_instances == floor(var.gpu_max_instances)
    error_message = "gpu_max_instances must be a whole number, 1 or more."
  }
}

variable "images" {
  description = "Image of each function and of the migrations, by digest. make images PUSH=1 writes them."
  type        = map(string)
  default     = null

  validation {
    condition     = var.images == null || alltrue([for image in values(coalesce(var.images, {})) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Specify every image by digest (…@sha256:…): a tag can be moved to another image."
  }

  validation {
    condition     = var.images == null || toset(keys(coalesce(var.images, {}))) == toset(["admin", "callback", "cluster", "detect", "migrate"])
    error_message = "Specify exactly the images admin, callback, cluster, detect and migrate."
  }
}

variable "labels" {
  description = "Labels of every resource, in addition to app, managed-by and size."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "log_level" {
  description = "Log level of the functions: DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "mail_from" {
  description = "Sender of e-mails, such as Photos <photos@example.org>. If it is not set, no e-mail is sent, and organisers pass on the links themselves."
  type        = string
  default     = null

  validation {
    condition     = (var.mail_from != null) == contains(keys(var.secret_versions), "smtp-url")
    error_message = "Set both or neither: mail_from, and the secret smtp-url with its entry in secret_versions."
  }
}

variable "monthly_budget" {
  description = "Monthly budget, in the billing account's currency."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.monthly_budget >= 1 && var.monthly_budget == floor(var.monthly_budget)
    error_message = "monthly_budget must be a whole number, 1 or more."
  }
}

variable "name" {
  description = "Name of the deployment, used in the names of its resources."
  type        = string
  default     = "trombi"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,12}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 14 lower-case letters, digits and dashes, start with a letter, and not end with a dash: names of accounts and buckets contain it."
  }
}

variable "project_id" {
  description = "ID of the project for all resources. A project can contain only one Trombi, because topics have fixed names (shared/bus.json)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the project's ID (6 to 30 lower-case letters, digits and dashes), not its name or number."
  }
}

variable "public_url" {
  description = "Public address of admin, if you use your own domain. Links in e-mails start with it."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null || can(regex("^https://[^/]+$", coalesce(var.public_url, "-")))
    error_message = "public_url must look like https://photos.example, without a path or a trailing slash."
  }
}

variable "region" {
  description = "Region of all resources. Faces are stored only there."
  type        = string
  default     = "europe-west1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]$", var.region))
    error_message = "region must be a region such as europe-west1, not a zone or a multi-region."
  }
}

variable "runbook_url" {
  description = "Address of docs/runbook.md. Alerts link to it."
  type        = string
  default     = "docs/runbook.md"
  nullable    = false
}

variable "secret_versions" {
  description = "Names and version numbers of the secrets that you provide. Increase a number to send a new value. For database-password and invitation-secret, which Terraform generates, a higher number generates a new value."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.secret_versions), [
      "callback-secrets", "database-password", "database-url", "invitation-secret", "jwt-secret", "migrate-database-url", "smtp-url",
    ])) == 0
    error_message = "Unknown secret. You can provide callback-secrets, database-url, jwt-secret, migrate-database-url and smtp-url; Terraform generates database-password and invitation-secret."
  }

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : version >= 1 && version == floor(version)])
    error_message = "A version must be a whole number, 1 or more."
  }
}

variable "secrets" {
  description = "Values of the secrets in secret_versions. They are never stored in the state or in a plan. Set them in TF_VAR_secrets, and only if a version is new."
  type        = map(string)
  ephemeral   = true
  default     = {}
  nullable    = false
}

variable "service_callers" {
  description = "E-mail addresses of the service accounts that may enqueue photos, such as that of the host app's server."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "signed_callback" {
  description = "Adds a public service that answers only POST /ml/callback, for workers outside Google Cloud. Requires the secret callback-secrets."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.signed_callback || contains(keys(var.secret_versions), "callback-secrets")
    error_message = "signed_callback requires the secret callback-secrets with its entry in secret_versions: without keys, no signature can be verified."
  }
}

variable "size" {
  description = "small (occasional events; scales to zero), medium (events every day) or large (thousands of photos per hour)."
  type        = string
  default     = "small"
  nullable    = false

  validation {
    condition     = contains(["small", "medium", "large"], var.size)
    error_message = "size must be small, medium or large; docs/scale.md describes their capacity."
  }
}

variable "upload_origins" {
  description = "Web origins that may upload to the photos bucket with a signed URL (CORS)."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.upload_origins : can(regex("^https://[^/*]+$", origin))])
    error_message = "An origin must look like https://photos.example. Wildcards are refused, because any web page could then upload."
  }
}

variable "uploaders" {
  description = "Members (serviceAccount:…) that may add photos to the bucket and delete them, such as the host app's server."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.uploaders : can(regex("^(serviceAccount|user|group):", member))])
    error_message = "A member must start with serviceAccount:, user: or group:. The bucket cannot be opened to everybody."
  }
}
