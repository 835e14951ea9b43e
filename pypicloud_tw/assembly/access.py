"""Makes what decides who may do what, and what changes that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from socket import gethostname

from pypicloud_tw import __version__
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.oidc.exchange import Exchange
from pypicloud_tw.access.oidc.fetchers import IssuerFetchers
from pypicloud_tw.access.oidc.issuers import Issuers
from pypicloud_tw.access.oidc.provider import ProviderLogIn
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.sessions.accounts import Accounts
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.access.sessions.login import SessionLogin
from pypicloud_tw.access.sessions.sessions import Sessions
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import People, TokenOwners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.access.users import Users
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.outbound.authorities import read_authorities
from pypicloud_tw.process import Process


def make_access_documents(
    config: Config, index: Index, process: Process, users: Users | None = None
) -> AccessDocuments:
    """Make what keeps the access document of an index.

    :param users: obey it.
    """
    documents = AccessDocuments(
        index.store,
        index.watch,
        index.standing,
        index.clock,
        verify_every=config.index.verify_every,
    )
    documents.register(process.metrics)
    if users is not None:
        documents.subscribe(users.obeying)
    return documents


def make_tokens(
    config: Config,
    index: Index,
    process: Process,
    throttle: Throttle,
    documents: AccessDocuments,
    users: Users,
    people: People | None = None,
) -> Tokens:
    """Make what makes, finds and revokes the tokens of an index.

    :param throttle: judges clients that show tokens that there are not.
    :param documents: says which users' tokens live, with those who are in *users*.
    :param people: knows others, who are in a directory.
    """
    store, clock = index.store, index.clock
    owners = TokenOwners(users.source_of, people is not None)
    documents.subscribe(owners.obeying)
    token_documents = TokenDocuments(
        store,
        index.watch,
        index.standing,
        clock,
        throttle,
        verify_every=config.index.verify_every,
    )
    minted = Minted(
        store,
        index.standing,
        clock,
        throttle,
        config.index.fresh_for,
        siblings=process.siblings,
    )
    tokens = Tokens(
        token_documents,
        minted,
        owners.identify,
        LastUses(store, clock, _server_name(config, process)),
        clock,
        index.publisher.audit,
        people,
        life=config.auth.token_life,
        max_life=config.auth.token_max_life,
    )
    tokens.register(process.metrics)
    return tokens


def _server_name(config: Config, process: Process) -> str:
    """Tell this process from others of the store, the same after a restart."""
    where = f"{gethostname()} {config.server.listen}"
    if process.number is not None:
        where += f" {process.number}"
    return sha256(where.encode()).hexdigest()[:16]


def make_session_login(
    config: Config, index: Index, process: Process, tokens: Tokens, logins: Logins
) -> SessionLogin:
    """Make the authenticator of people's sessions in browsers.

    :param tokens: know whose they can be, as those of tokens.
    """
    documents = tokens.documents
    sessions = Sessions(
        index.store,
        index.standing,
        index.clock,
        documents.throttle,
        config.index.fresh_for,
        config.auth.session_life,
        siblings=process.siblings,
    )
    accounts = Accounts(tokens.owners, logins.users.password_mark, logins.people)
    login = SessionLogin(sessions, accounts, index.clock, logins.htpasswd)
    login.register(process.metrics)
    return login


def make_access(
    config: Config,
    process: Process,
    documents: AccessDocuments,
    tokens: Tokens,
    logins: Logins,
    session_login: SessionLogin,
) -> Access:
    """Make what decides who may do what, by tokens first."""
    login = TokenLogin(
        tokens.documents,
        tokens.minted,
        tokens.owners,
        tokens.uses,
        tokens.clock,
        tokens.people,
    )
    login.register(process.metrics)
    return Access(
        Policy(AccessSettings.of(config, log_in_elsewhere=logins.possible)),
        (login, session_login, *logins.authenticators),
        documents,
        process.metrics.observe_login,
    )


def make_browser_log_in(
    config: Config,
    index: Index,
    access: Access,
    session_login: SessionLogin,
    logins: Logins,
    issuers: Issuers,
) -> BrowserLogIn:
    """Make what logs people in and out, in a browser.

    :param issuers: fetches what their provider publishes.
    """
    provider = None
    if config.oidc_login.issuer is not None:
        provider = ProviderLogIn(config.oidc_login, issuers, index.clock.seconds)
    return BrowserLogIn(
        access,
        session_login.sessions,
        session_login.accounts,
        index.publisher.audit,
        lambda: logins.users.exist,
        provider,
    )


def make_administered(config: Config, index: Index, process: Process) -> Administered:
    """Make what a command administers, which logs nobody in."""
    throttle = Throttle(process.reactor.seconds)
    # Names only: no password is checked here.
    users = Users(config.users, offload=process.offload, clock=process.reactor)
    documents = make_access_documents(config, index, process, users)
    tokens = make_tokens(config, index, process, throttle, documents, users)
    access = Access(Policy(AccessSettings.of(config)), (), documents)
    audit = index.publisher.audit
    return Administered(access, documents, tokens, process.offload, audit)


def make_exchange(
    config: Config,
    index: Index,
    process: Process,
    environ: Mapping[str, str],
    access: Access,
    minted: Minted,
) -> Exchange:
    """Make what exchanges the identity tokens of CI jobs.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: there are no authorities in ``oidc.ca_file``.
    """
    seconds = process.reactor.seconds
    exchange = Exchange(
        access,
        Issuers(make_fetchers(process, environ, config), seconds),
        minted,
        index.publisher.audit,
        seconds,
        config.oidc.token_lifetime,
    )
    exchange.register(process.metrics)
    return exchange


def issuers_of(config: Config) -> Iterator[str]:
    """Name the issuers that the ini names."""
    for publisher in config.publishers.values():
        yield publisher.issuer
    if config.oidc_login.issuer is not None:
        yield config.oidc_login.issuer


def make_fetchers(
    process: Process, environ: Mapping[str, str], config: Config
) -> IssuerFetchers:
    """Make what the documents of issuers are fetched by.

    :raises ConfigError: there are no authorities in ``oidc.ca_file``.
    """
    if config.oidc.ca_file is not None:
        read_authorities(config.oidc.ca_file, "oidc.ca_file")
    return IssuerFetchers(
        config.oidc,
        frozenset(issuers_of(config)),
        process.reactor,
        environ,
        f"pypicloud-tw/{__version__}",
    )
