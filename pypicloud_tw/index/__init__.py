"""The domain: names, manifests, the catalog and publishing."""
