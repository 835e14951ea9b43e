"""Every metric that a server may show, whatever it is configured to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from OpenSSL.crypto import FILETYPE_PEM
from twisted.internet.testing import MemoryReactorClock

from pypicloud_tw.assembly.access import (
    make_access,
    make_access_documents,
    make_exchange,
    make_session_login,
    make_tokens,
)
from pypicloud_tw.assembly.advised import make_reporter
from pypicloud_tw.assembly.advisories import make_advisories
from pypicloud_tw.assembly.audit import make_trail
from pypicloud_tw.assembly.daily import make_daily
from pypicloud_tw.assembly.fallback import make_fallback, make_names_jobs, make_pins
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.assembly.logins import make_logins, make_throttle
from pypicloud_tw.assembly.search import make_derived
from pypicloud_tw.assembly.statistics import make_downloads, make_statistics_jobs
from pypicloud_tw.assembly.watched import register_standing
from pypicloud_tw.config.load import load
from pypicloud_tw.metrics import Gathered
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.upstream.judgement.judges import FixedExemptions
from pypicloud_tw.web.http.proxies import Proxies
from pypicloud_tw.workers.merging import metrics_of_workers
from tests.certificates import certificate
from tests.web.doubles import Web

#: With this, every part that counts something is there.
ENVIRON: Mapping[str, str] = MappingProxyType(
    {
        "PYPICLOUD_AWS_BUCKET": "acme-pypi",
        "PYPICLOUD_AWS_REGION": "us-east-1",
        "PYPICLOUD_AWS_ACCESS_KEY": "AKIAIOSFODNN7EXAMPLE",
        "PYPICLOUD_AWS_SECRET_KEY": "secret",
        "PYPICLOUD_PYPI_FALLBACK": "cache",
        "PYPICLOUD_ADVISORIES_SOURCE": "advisories",
    }
)


def every_metric(pem: Path) -> str:
    """Write each in the text format, with its labels.

    :param pem: where a certificate may be written.
    """
    config = load(None, ENVIRON)
    process = make_process(MemoryReactorClock())
    process.metrics.observe_s3("GetObject", "ok", 0.1)
    index = make_index(config, process, {})
    throttle = make_throttle(config, process)
    logins = make_logins(config, process, throttle)
    users = logins.users
    documents = make_access_documents(config, index, process, users)
    tokens = make_tokens(config, index, process, throttle, documents, users)
    session_login = make_session_login(config, index, process, tokens, logins)
    access = make_access(config, process, documents, tokens, logins, session_login)
    exchange = make_exchange(config, index, process, {}, access, tokens.minted)
    exchange.outcomes["minted"] += 1
    pins = make_pins(config, index)
    fallback = make_fallback(config, index, process, {}, FixedExemptions(), pins=pins)
    assert fallback is not None
    fallback.upstreams.refusals["malware"] += 1
    make_trail(config, process)
    make_advisories(config, index.store, process, {})
    advised = AdministeredAdvisories.without(index)
    report = make_reporter(index, advised, None, tuple).job
    pruning = AdministeredPruning.of(index)
    jobs = make_names_jobs(config, index, fallback, process)
    counted = make_downloads(config, index, process)
    jobs = (*jobs, *make_statistics_jobs(counted), report)
    make_daily(index, access, pruning, process.metrics, *jobs)
    make_derived(index, process)
    register_standing(config, process, index, access)
    folder = load(None, {"PYPICLOUD_SERVER_LISTEN": _with_tls(pem)})
    in_folder = make_process(MemoryReactorClock())
    register_standing(folder, in_folder, index, access)
    lane = Web().application.express_lane(Proxies(), process.metrics.observe, None)
    assert lane is not None
    lane.register(process.metrics)
    lane.answered["page"] += 1
    gathered = Gathered(metrics_of_workers(2, 0))
    metrics = (process.metrics, in_folder.metrics, gathered)
    return "\n".join(one.render().decode() for one in metrics)


def _with_tls(pem: Path) -> str:
    made = certificate()
    pem.write_bytes(made.dumpPEM() + made.privateKey.dump(FILETYPE_PEM))
    return f"ssl:443:privateKey={pem}"
