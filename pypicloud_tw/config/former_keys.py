"""What the keys of the later versions of pypicloud 1.x are called here.

From the documentation of its versions 0.1 to 1.3; each value means the same under both
names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

#: Keys whose values are carried over as they are.
RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "storage.bucket": "aws.bucket",
        "storage.prefix": "aws.prefix",
        "storage.region": "aws.region",
        "storage.region_name": "aws.region",
        "storage.access_key": "aws.access_key",
        "storage.aws_access_key_id": "aws.access_key",
        "storage.secret_key": "aws.secret_key",
        "storage.aws_secret_access_key": "aws.secret_key",
        "storage.aws_session_token": "aws.session_token",
        "storage.endpoint_url": "aws.endpoint_url",
        "storage.addressing_style": "aws.addressing",
        "storage.expire_after": "aws.expire_after",
        "storage.buffer_time": "aws.buffer_time",
        "storage.object_acl": "aws.object_acl",
        "storage.storage_class": "aws.storage_class",
        "storage.connect_timeout": "aws.connect_timeout",
        "storage.read_timeout": "aws.first_byte_timeout",
        "pypi.disallow_fallback": "pypi.private",
    }
)

#: Keys that only those versions had.
FORMER = re.compile(
    r"storage\.(bucket|prefix|region(_name)?|(access|secret)_key|aws_\w+|endpoint_url"
    r"|addressing_style|expire_after|buffer_time|object_acl|storage_class|\w+_timeout"
    r"|host|is_secure|use_ssl|verify|calling_format|signature_version|redirect_urls"
    r"|server_side_encryption|public_url|prepend_hash|profile_name|cloud_front_\w+"
    r"|max_pool_connections|storage_\w+|gcs?_\w+|azure_\w+)"
    r"|pypi\.(storage|db|auth|access_backend|fallback_base_url|disallow_fallback"
    r"|always_show_upstream|realm|download_url|stream_files"
    r"|package_max_age|allow_delete|use_json_scraper|prepend_hash|admins"
    r"|zero_security_mode)(\..+)?"
    r"|auth\.(zero_security_mode|rounds|scheme|signing_key|token_expire"
    r"|backend_server|user|password|profile_name|(db|uri)\..+)"
    r"|(db|session|beaker)\..+"
    r"|aws\.(prepend_hash|host|is_secure|cloud_front_\w+)"
)

#: Keys that gave rights there and give them here.
RIGHTS = re.compile(
    r"(group|package)\..+|auth\.admins"
    r"|pypi\.(default_write|cache_update|allow_(overwrite|delete)_groups)"
)

#: Keys whose work nothing needs done any more: no database, no sessions, no framework.
UNNEEDED = re.compile(
    r"use|filter-with|debug|set .*|pypi\.(db(\..+)?|use_json_scraper|package_max_age)"
    r"|(sqlalchemy|cache|db|session|beaker|mako|pyramid|jinja2|debugtoolbar|tm)\..*"
    r"|auth\.(rounds|scheme)|storage\.(signature_version|max_pool_connections)"
    r"|(storage|pypi|aws)\.prepend_hash"
)
