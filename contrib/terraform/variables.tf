variable "bucket" {
  description = "The name of the bucket (aws.bucket); no other bucket in the world has it."
  type        = string

  validation {
    # With a dot in it, no certificate of S3 fits the bucket's own host.
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name has 3 to 63 small letters, digits and hyphens, and begins and ends with a letter or a digit."
  }
}

variable "prefix" {
  description = "What every key in the bucket begins with (aws.prefix); with a slash at its end, or empty."
  type        = string
  default     = "packages/"

  validation {
    condition     = var.prefix == "" || can(regex("^[^/*?$][^*?$]*/$", var.prefix))
    error_message = "The prefix ends with a slash, does not begin with one, and has no *, ? or $, which mean something in a policy."
  }
}

variable "versioning" {
  description = "Keep what was overwritten or removed, as long as the lifecycle's rules say."
  type        = bool
  default     = true
}

variable "old_manifests_days" {
  description = "How many days an old version of a manifest is kept."
  type        = number
  default     = 14

  validation {
    condition     = var.old_manifests_days >= 1 && floor(var.old_manifests_days) == var.old_manifests_days
    error_message = "Give a whole number of days, 1 at least."
  }
}

variable "removed_files_days" {
  description = "How many days a file is kept after it was removed."
  type        = number
  default     = 30

  validation {
    condition     = var.removed_files_days >= 1 && floor(var.removed_files_days) == var.removed_files_days
    error_message = "Give a whole number of days, 1 at least."
  }
}

variable "kms_key_arn" {
  description = "The ARN of a KMS key that encrypts what is stored; null: S3's own keys do (SSE-S3)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "Give the ARN of the key itself (arn:aws:kms:REGION:ACCOUNT:key/ID): a policy cannot name it by an alias."
  }
}

variable "role" {
  description = "The name of the role that the servers have."
  type        = string
  default     = "pypicloud"

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.role))
    error_message = "A role's name has 1 to 64 letters, digits and any of +=,.@_-"
  }
}

variable "runs_on" {
  description = "Who may take the role: \"ec2\" (machines), \"eks-irsa\" (a service account, by the cluster's OIDC provider) or \"eks-pod-identity\" (the same by EKS's agent)."
  type        = string

  validation {
    condition     = contains(["ec2", "eks-irsa", "eks-pod-identity"], var.runs_on)
    error_message = "Give ec2, eks-irsa or eks-pod-identity."
  }
}

variable "eks_cluster" {
  description = "The name of the cluster; for eks-irsa and eks-pod-identity."
  type        = string
  default     = null
}

variable "eks_namespace" {
  description = "The namespace that the service account is in; for eks-irsa and eks-pod-identity."
  type        = string
  default     = "pypicloud"
}

variable "eks_service_account" {
  description = "The name of the service account; for eks-irsa and eks-pod-identity."
  type        = string
  default     = "pypicloud"
}
