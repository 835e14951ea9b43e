# The role that the servers have, what it may do, and who may take it.

# The least that a server needs: what docs/guide/buckets.rst shows.
data "aws_iam_policy_document" "server" {
  statement {
    effect    = "Allow"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.packages.arn]
  }

  statement {
    effect = "Allow"
    actions = [
      "s3:GetObject",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:AbortMultipartUpload",
    ]
    resources = ["${aws_s3_bucket.packages.arn}/${var.prefix}*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      effect    = "Allow"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "server" {
  name        = var.role
  description = "Servers of the package index in the bucket ${var.bucket}"
  # Exactly one of them is there.
  assume_role_policy = one(concat(
    data.aws_iam_policy_document.ec2[*].json,
    data.aws_iam_policy_document.irsa[*].json,
    data.aws_iam_policy_document.pod_identity[*].json,
  ))

  lifecycle {
    precondition {
      condition     = var.runs_on == "ec2" || var.eks_cluster != null
      error_message = "On EKS, say which cluster: eks_cluster."
    }
  }
}

resource "aws_iam_role_policy" "server" {
  name   = "packages"
  role   = aws_iam_role.server.id
  policy = data.aws_iam_policy_document.server.json
}

# -- Machines of EC2 --

data "aws_iam_policy_document" "ec2" {
  count = var.runs_on == "ec2" ? 1 : 0

  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_instance_profile" "server" {
  count = var.runs_on == "ec2" ? 1 : 0

  name = var.role
  role = aws_iam_role.server.name
}

# -- A service account of EKS, by the cluster's OIDC provider (IRSA) --

data "aws_eks_cluster" "irsa" {
  count = var.runs_on == "eks-irsa" ? 1 : 0

  name = var.eks_cluster
}

# The cluster's provider has to be in IAM already; most clusters' modules see to it.
data "aws_iam_openid_connect_provider" "irsa" {
  count = var.runs_on == "eks-irsa" ? 1 : 0

  url = data.aws_eks_cluster.irsa[0].identity[0].oidc[0].issuer
}

data "aws_iam_policy_document" "irsa" {
  count = var.runs_on == "eks-irsa" ? 1 : 0

  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [data.aws_iam_openid_connect_provider.irsa[0].arn]
    }
    # This service account and no other. Without it, every pod of the cluster could.
    condition {
      test     = "StringEquals"
      variable = "${trimprefix(data.aws_eks_cluster.irsa[0].identity[0].oidc[0].issuer, "https://")}:sub"
      values   = ["system:serviceaccount:${var.eks_namespace}:${var.eks_service_account}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${trimprefix(data.aws_eks_cluster.irsa[0].identity[0].oidc[0].issuer, "https://")}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

# -- The same, by EKS Pod Identity --

data "aws_iam_policy_document" "pod_identity" {
  count = var.runs_on == "eks-pod-identity" ? 1 : 0

  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

resource "aws_eks_pod_identity_association" "server" {
  count = var.runs_on == "eks-pod-identity" ? 1 : 0

  cluster_name    = var.eks_cluster
  namespace       = var.eks_namespace
  service_account = var.eks_service_account
  role_arn        = aws_iam_role.server.arn
}
