# The bucket. Whoever destroys it destroys the packages, so that nothing here does.

resource "aws_s3_bucket" "packages" {
  bucket = var.bucket

  lifecycle {
    prevent_destroy = true
  }
}

# Clients get files by signed URLs; nothing in the bucket is open to everybody.
resource "aws_s3_bucket_public_access_block" "packages" {
  bucket = aws_s3_bucket.packages.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No ACLs at all: leave aws.object_acl unset.
resource "aws_s3_bucket_ownership_controls" "packages" {
  bucket = aws_s3_bucket.packages.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "packages" {
  bucket = aws_s3_bucket.packages.id

  versioning_configuration {
    status = var.versioning ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "packages" {
  bucket = aws_s3_bucket.packages.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
    # One request of KMS for many objects.
    bucket_key_enabled = true
  }
}

# The rules of contrib/lifecycle.json.
resource "aws_s3_bucket_lifecycle_configuration" "packages" {
  bucket = aws_s3_bucket.packages.id
  # What rules say of old versions holds once there are versions.
  depends_on = [aws_s3_bucket_versioning.packages]

  rule {
    id     = "pypicloud: old manifests"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}.index/"
    }
    noncurrent_version_expiration {
      noncurrent_days = var.old_manifests_days
    }
  }

  rule {
    id     = "pypicloud: the marker, written at every change"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}.marker"
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  rule {
    id     = "pypicloud: removed files, and uploads that never ended"
    status = "Enabled"

    filter {
      prefix = var.prefix
    }
    noncurrent_version_expiration {
      noncurrent_days = var.removed_files_days
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# Nobody speaks to it without TLS, whatever they may do otherwise.
data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.packages.arn, "${aws_s3_bucket.packages.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "packages" {
  bucket = aws_s3_bucket.packages.id
  policy = data.aws_iam_policy_document.bucket.json
  # Both are settings of the bucket's access, which S3 does not take at the same time.
  depends_on = [aws_s3_bucket_public_access_block.packages]
}
