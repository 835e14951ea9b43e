"""The sections of the configuration: every setting, declared once.

Each is a frozen class: ``aws.expire_after`` is the field ``expire_after`` of
:class:`~.storage.AwsSection`. :mod:`pypicloud_tw.config.keys` lists them all.
"""
