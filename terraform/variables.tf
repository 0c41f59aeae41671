variable "admin" {
  description = "Settings of admin: who signs tokens, and for whom. Give jwks_url, or the secret jwt-secret, or both."
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
    error_message = "jwt_jwks_url must be an https:// address: keys that are fetched in the clear can be swapped."
  }

  validation {
    condition     = var.admin.jwt_jwks_url != null || contains(keys(var.secret_versions), "jwt-secret")
    error_message = "Nobody could sign in: give admin.jwt_jwks_url, or the secret jwt-secret with its secret_versions entry."
  }
}

variable "alert_emails" {
  description = "E-mail addresses that alerts and the budget go to."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.alert_emails) > 0 && alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Name at least one e-mail address: an alert that nobody hears is none."
  }
}

variable "billing_account" {
  description = "Billing account (XXXXXX-XXXXXX-XXXXXX); with it a budget of monthly_budget is watched."
  type        = string
  default     = null
}

variable "callback" {
  description = "Settings of callback: the debounce, the sweep and retention. Times are in seconds."
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
    error_message = "job_stuck_after must be at least 600 s, the longest a clustering may take: a job that still runs is not stuck."
  }
}

variable "cluster" {
  description = "Settings of cluster. What is not set of the face rules is the model pack's, and off leaves one out; dask_scheduler_address spreads large events."
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
  description = "external: a Postgres of your own (Supabase), whose address is the secret database-url; else Cloud SQL."
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
    error_message = "backup_days must be 1 to 30: backups keep erased faces for as long, so it is part of what is promised to people."
  }

  validation {
    condition     = var.database.external == contains(keys(var.secret_versions), "database-url")
    error_message = "An external database needs the secret database-url with its secret_versions entry; Cloud SQL's is made here."
  }
}

variable "deletion_protection" {
  description = "Refuses to delete services, the database, and buckets with content. See README.md before turning it off."
  type        = bool
  default     = true
  nullable    = false
}

variable "detect" {
  description = "Settings of detect; those of photos are admin's too. The model pack is part of the image."
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
  description = "Constants of model packs measured on photos of your own, the content of the file (docs/clustering.md); without it those that are built in."
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
  description = "Accelerator for detect: nvidia-l4, or none (needs quota, a region that has it, and make deploy GPU=1)."
  type        = string
  default     = null

  validation {
    condition     = var.gpu == null || coalesce(var.gpu, "-") == "nvidia-l4"
    error_message = "The GPU image is made for nvidia-l4, and for no other accelerator."
  }
}

variable "gpu_max_instances" {
  description = "Most detect instances when they have a GPU: no more than the project's GPU quota in the region."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.gpu_max_instances >= 1 && var.gpu_max_instances == floor(var.gpu_max_instances)
    error_message = "gpu_max_instances must be a whole number from 1 on."
  }
}

variable "images" {
  description = "Image of each function and of the migration, by digest (make images writes them)."
  type        = map(string)
  default     = null

  validation {
    condition     = var.images == null || alltrue([for image in values(coalesce(var.images, {})) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Name every image by digest (…@sha256:…): a tag can be moved to other content."
  }

  validation {
    condition     = var.images == null || toset(keys(coalesce(var.images, {}))) == toset(["admin", "callback", "cluster", "detect", "migrate"])
    error_message = "Name the images admin, callback, cluster, detect and migrate, and no others."
  }
}

variable "labels" {
  description = "Labels that every resource gets, beside app, managed-by and size."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "log_level" {
  description = "What the functions log: DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "mail_from" {
  description = "Whom mail comes from, as Photos <photos@example.org>; without it organisers pass the links on themselves."
  type        = string
  default     = null

  validation {
    condition     = (var.mail_from != null) == contains(keys(var.secret_versions), "smtp-url")
    error_message = "Mail needs both: mail_from, and the secret smtp-url with its secret_versions entry."
  }
}

variable "monthly_budget" {
  description = "What a month may cost, in the billing account's currency."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.monthly_budget >= 1 && var.monthly_budget == floor(var.monthly_budget)
    error_message = "monthly_budget must be a whole number from 1 on."
  }
}

variable "name" {
  description = "What resources are called, and start with where they need more of a name."
  type        = string
  default     = "trombi"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,12}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 14 lower-case letters, digits and dashes, and start with a letter: accounts and buckets are named after it."
  }
}

variable "project_id" {
  description = "Project that everything is made in. One project holds one Trombi: topics have the names of shared/bus.json."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is the project's id (6 to 30 lower-case letters, digits and dashes), not its name or number."
  }
}

variable "public_url" {
  description = "Where people reach admin, if a domain of your own leads there; links in mails start with it."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null || can(regex("^https://[^/]+$", coalesce(var.public_url, "-")))
    error_message = "public_url must look like https://photos.example, without a path or a slash at its end."
  }
}

variable "region" {
  description = "Region of everything; the faces stay in it."
  type        = string
  default     = "europe-west1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]$", var.region))
    error_message = "region must be a region such as europe-west1, not a zone or a multi-region."
  }
}

variable "runbook_url" {
  description = "Where docs/runbook.md can be read; alerts link to it."
  type        = string
  default     = "docs/runbook.md"
  nullable    = false
}

variable "secret_versions" {
  description = "Secrets that you give (keys of secrets) and their version; raise a number to send its value again. The made ones, database-password and invitation-secret, may be raised too."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.secret_versions), [
      "callback-secrets", "database-password", "database-url", "invitation-secret", "jwt-secret", "migrate-database-url", "smtp-url",
    ])) == 0
    error_message = "Secrets are callback-secrets, database-url, jwt-secret, migrate-database-url and smtp-url; made here are database-password and invitation-secret."
  }

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : version >= 1 && version == floor(version)])
    error_message = "A version is a whole number from 1 on."
  }
}

variable "secrets" {
  description = "Values of the secrets that secret_versions lists. Never in the state or a plan; give them as TF_VAR_secrets, and only when a version is new."
  type        = map(string)
  ephemeral   = true
  default     = {}
  nullable    = false
}

variable "service_callers" {
  description = "E-mails of the service accounts that may enqueue: the host app's server."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "signed_callback" {
  description = "Opens POST /ml/callback, and only that, to workers outside Google Cloud; needs the secret callback-secrets."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.signed_callback || contains(keys(var.secret_versions), "callback-secrets")
    error_message = "signed_callback needs the secret callback-secrets with its secret_versions entry: without keys nothing could be verified."
  }
}

variable "size" {
  description = "small (an event now and then; scales to zero), medium (events every day) or large (thousands of photos an hour)."
  type        = string
  default     = "small"
  nullable    = false

  validation {
    condition     = contains(["small", "medium", "large"], var.size)
    error_message = "size must be small, medium or large; docs/scale.md says what each carries."
  }
}

variable "upload_origins" {
  description = "Web origins that may upload to the photos bucket with a signed URL (CORS)."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.upload_origins : can(regex("^https://[^/*]+$", origin))])
    error_message = "An origin looks like https://photos.example; a star would let every page upload."
  }
}

variable "uploaders" {
  description = "Members (serviceAccount:…) that put photos into the bucket and remove them: the host app's server."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.uploaders : can(regex("^(serviceAccount|user|group):", member))])
    error_message = "A member starts with serviceAccount:, user: or group:; the bucket is never open to everybody."
  }
}
