output "settings" {
  description = "What a server has to be told, as variables of its environment."
  value = {
    PYPICLOUD_AWS_BUCKET = aws_s3_bucket.packages.bucket
    PYPICLOUD_AWS_PREFIX = var.prefix
    PYPICLOUD_AWS_REGION = aws_s3_bucket.packages.region
  }
}

output "role_arn" {
  description = "The role of the servers."
  value       = aws_iam_role.server.arn
}

output "service_account_annotations" {
  description = "What the service account in contrib/kubernetes/overlays/bucket is annotated with; empty but for eks-irsa."
  value       = var.runs_on == "eks-irsa" ? { "eks.amazonaws.com/role-arn" = aws_iam_role.server.arn } : {}
}

output "instance_profile" {
  description = "The profile to start machines with; null but for ec2."
  value       = one(aws_iam_instance_profile.server[*].name)
}
