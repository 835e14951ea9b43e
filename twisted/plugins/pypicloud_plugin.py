"""The one plugin: ``twistd pypicloud`` and ``twist pypicloud``."""

from twisted.application.service import ServiceMaker

pypicloud = ServiceMaker(
    "pypicloud",
    "pypicloud_tw.tap",
    "A private Python package index on S3 or a folder.",
    "pypicloud",
)
