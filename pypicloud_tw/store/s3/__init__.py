"""A store in a bucket of S3, or of anything that speaks S3.

The client, the signatures, the credentials and the signed addresses are here; so are
the differences between servers. Nothing above knows which one it is.
"""
