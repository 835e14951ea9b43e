# pypicloud in a container; docs/guide/docker.rst says more. From the folder of the checkout:
#
#   docker build -t pypicloud .
#   docker run -p 127.0.0.1:6543:6543 -v packages:/data --read-only --stop-timeout 45 pypicloud
#
# It serves at once, and nobody may upload. The first administrator, while it runs (the log
# has this line, too); the command asks for a password:
#
#   docker exec -it CONTAINER pypicloud user add NAME --admin

# Any Debian with Python 3.11 or newer, its venv, and certificates of authorities.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build

# Extras of pyproject.toml: ldap, attestations.
ARG EXTRAS=""
# An index of your own to install from.
ARG PIP_INDEX_URL

# Its strip, of whatever version the base's release of Debian has.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml README.rst LICENSE ./
COPY contrib contrib
COPY pypicloud_tw pypicloud_tw
COPY twisted twisted

# pip has an environment of its own, and stays behind with this stage. What is loaded here
# is compiled here: a container may write nothing there.
RUN python3 -m venv /opt/pip \
    && python3 -m venv --without-pip /opt/pypicloud \
    && /opt/pip/bin/pip --python /opt/pypicloud/bin/python install \
        --no-cache-dir --no-compile "/src${EXTRAS:+[$EXTRAS]}" \
    && python3 contrib/image/slim.py /opt/pypicloud \
    && /opt/pypicloud/bin/python -c "import pypicloud_tw.assembly.server; \
from pypicloud_tw.cli.main import main; \
from pypicloud_tw.web.pages.templating import Templates; \
[*main.commands.values()]; Templates('').load()"


FROM ${BASE}

# /data belongs to the group 0, too: where each container gets a user of its own, as on
# OpenShift, it is of that group.
RUN groupadd --gid 6543 pypicloud \
    && useradd --uid 6543 --gid 6543 --no-log-init --no-create-home --home-dir /data \
        --shell /usr/sbin/nologin pypicloud \
    && install --directory --owner=6543 --group=0 --mode=0775 /data

COPY --from=build /opt/pypicloud /opt/pypicloud

# All that is written is below /data; temporary files, too. The server listens at every
# address of the container: what can be reached of it is for -p to say.
ENV PATH=/opt/pypicloud/bin:$PATH \
    HOME=/data \
    TMPDIR=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYPICLOUD_IMAGE=1 \
    PYPICLOUD_HOST=* \
    PYPICLOUD_STORAGE_DIR=/data/packages

USER 6543:6543
WORKDIR /data
VOLUME /data
EXPOSE 6543
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["pypicloud", "healthcheck"]
ENTRYPOINT ["pypicloud"]
CMD ["serve"]

# Last, so that they change no layer but their own.
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="pypicloud-tw" \
      org.opencontainers.image.description="A private Python package index whose only database is an S3 bucket or a folder" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
