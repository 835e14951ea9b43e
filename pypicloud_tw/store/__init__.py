"""Where the bytes live: S3, a folder, or memory."""
