"""Makes an index over the store that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from pypicloud_tw import __version__
from pypicloud_tw.access.signers import TrustedSigners
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.namespaces import Namespaces
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.attestations.question import Question
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.attestations.verification import is_installed, verify
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import HELPERS, Offload
from pypicloud_tw.process import Process
from pypicloud_tw.store.checkpoints import Checkpoint, pass_by
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.metered import MeteredStore
from pypicloud_tw.upstream.names.listed import NamesElsewhere
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.web.views import SignedViews, Views

if TYPE_CHECKING:
    from pypicloud_tw.store.s3.store import S3Store

    # It brings the server, which no command needs.
    from pypicloud_tw.workers.member import Member


def make_process(
    reactor: Any, offload: Offload | None = None, member: Member | None = None
) -> Process:
    """Make what all parts share.

    :param member: this process is one of several workers.
    """
    metrics = Metrics(reactor, member.link.gather if member else None)
    metrics.tell_version(__version__)
    if member is None:
        offload = offload or Offload(reactor)
        offload.register(metrics)
        return Process(reactor, offload, metrics)
    member.link.count(metrics.snapshot)
    offload = offload or Offload(reactor, processes=max(1, HELPERS // member.count))
    offload.register(metrics)
    return Process(reactor, offload, metrics, member.link, member.number)


def make_index(
    config: Config,
    process: Process,
    environ: Mapping[str, str],
    *,
    checkpoint: Checkpoint = pass_by,
    audit: Audit = log_act,
    signers: TrustedSigners | None = None,
) -> Index:
    """Assemble the domain over the store that the configuration names.

    :param environ: of the process: credentials and proxies may come from it.
    :param checkpoint: called with the name of each step of a publish that was just
        done, for tests that end the process there.
    :param audit: takes a record of every change.
    :param signers: whose attestations count; None: those of the configuration.
    """
    reactor, metrics = process.reactor, process.metrics
    store = _make_store(config, process, environ, checkpoint)
    metered = MeteredStore(store, metrics.observe_store, reactor.seconds)
    namespaces = Namespaces.of(config.pypi.private)
    signed = config.aws.bucket is not None and config.aws.link == "signed"
    marker = Marker(metered)
    manifests = Manifests(
        metered,
        reactor,
        standing=Standing.starting(),
        sweep_age=config.index.sweep_age,
        last_serial=lambda: marker.changelog.last,
    )
    catalog = Catalog(
        manifests,
        MarkerWatch(marker, reactor, config.index.fresh_for, process.siblings),
        reactor,
        SignedViews(metered, namespaces) if signed else Views(namespaces),
        verify_every=config.index.verify_every,
        capacity=config.index.memory,
    )
    publisher = Publisher(
        metered,
        manifests,
        catalog,
        process.offload,
        reactor,
        UploadRules(
            legacy_formats=config.pypi.legacy_formats,
            reupload_deleted=config.pypi.allow_reupload_deleted,
            sweep_age=config.index.sweep_age,
        ),
        checkpoint,
        audit,
        attestations=_make_attestations(
            config, process, signers or TrustedSigners(config.signers)
        ),
        unserved=Unserved(
            metered,
            reactor,
            manifests.check_open,
            config.index.fresh_for,
            config.index.verify_every,
        ),
        warnings_of_new=make_names_elsewhere(config, metered, process).warnings_of_new,
    )
    for part in (manifests, catalog, publisher):
        part.register(metrics)
    acts = Acts(publisher, config.index.restore_for)
    return Index(store, manifests, catalog, publisher, reactor, acts, process.siblings)


def make_names_elsewhere(
    config: Config, store: IObjectStore, process: Process
) -> NamesElsewhere:
    """Make what knows the names of upstreams, as far as their lists are read."""
    lists = config.upstream.list_names and config.pypi.use_fallback
    urls = config.pypi.fallback_url if lists else ()
    return NamesElsewhere(
        store,
        process.offload,
        process.reactor,
        tuple(UpstreamIndex.parse(url).base for url in urls),
        frozenset(config.upstream.merge),
    )


def _make_attestations(
    config: Config, process: Process, signers: TrustedSigners
) -> Attestations:
    def verify_apart(question: Question) -> Deferred[bytes]:
        return process.offload.in_process(verify, question)

    return Attestations(
        verify_apart if is_installed() else None,
        signers.find,
        config.attestations.trust_root,
    )


def _make_store(
    config: Config,
    process: Process,
    environ: Mapping[str, str],
    checkpoint: Checkpoint,
) -> DirectoryStore | S3Store:
    if config.aws.bucket is None:
        return DirectoryStore(
            config.storage.dir,
            process.offload,
            clock=process.reactor.seconds,
            checkpoint=checkpoint,
        )
    # Only here: an index in a folder needs no client of S3.
    from pypicloud_tw.store.s3.make import make_s3_store

    store = make_s3_store(
        config.aws,
        process.reactor,
        process.offload,
        environ,
        temp_dir=config.storage.temp_dir,
        observe=process.metrics.observe_s3,
    )
    store.register(process.metrics)
    return store
