"""What servers have of access, on ways to one store that are not steady."""

from __future__ import annotations

from random import Random

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.passwords import DOCUMENT
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import TokenOwners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.index.catalog import Catalog, Rendered
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.store.interfaces import IObjectStore
from tests.unsteady import Line

FRESH_FOR = 1.0


async def render(
    state: Versioned, before: frozenset[str] | None = None
) -> Rendered[frozenset[str]]:
    """Render a project as the names of its files."""
    return Rendered(frozenset(file.filename for file in state.project.files), 1000)


@frozen(eq=False)
class AccessSide:
    """What one process has of who may do what, made in the order of the assembly."""

    access: Access
    documents: AccessDocuments
    tokens: Tokens
    minted: Minted
    login: TokenLogin

    @classmethod
    def over(
        cls,
        store: IObjectStore,
        watch: MarkerWatch,
        standing: Standing,
        clock: IReactorTime,
        dice: Random,
        name: str,
        settings: AccessSettings,
        token_watch: MarkerWatch | None = None,
    ) -> AccessSide:
        """Make one that knows nothing yet; only the document has users.

        :param token_watch: told of tokens; None: the other one.
        """
        throttle = Throttle(clock.seconds)
        documents = AccessDocuments(store, watch, standing, clock, random=dice)
        owners = TokenOwners(
            lambda name: DOCUMENT if name in documents.current.users else None
        )
        documents.subscribe(owners.obeying)
        books = TokenDocuments(
            store, token_watch or watch, standing, clock, throttle, random=dice
        )
        minted = Minted(store, standing, clock, throttle, FRESH_FOR, dice)
        uses = LastUses(store, clock, name)
        owner = owners.identify
        tokens = Tokens(
            books, minted, owner, uses, clock, lambda act: None, random=dice
        )
        login = TokenLogin(books, minted, owner, uses, clock)
        access = Access(Policy(settings), (login,), documents)
        return cls(access, documents, tokens, minted, login)


@frozen(eq=False)
class Server:
    """What one process has of access, and of a catalog beside it.

    The ini says nothing of rights.
    """

    line: Line
    side: AccessSide
    catalog: Catalog[frozenset[str]]

    @classmethod
    def start(cls, name: str, line: Line) -> Server:
        """Make one that knows nothing yet."""
        clock, dice = line.clock, Random(line.dice.random())
        watch = MarkerWatch(Marker(line, dice), clock, FRESH_FOR)
        catalog = Catalog(Manifests(line, clock, dice), watch, clock, render)
        settings = AccessSettings(has_users=True)
        side = AccessSide.over(line, watch, Standing(), clock, dice, name, settings)
        return cls(line, side, catalog)

    @property
    def access(self) -> Access:
        return self.side.access

    @property
    def documents(self) -> AccessDocuments:
        return self.side.documents

    @property
    def tokens(self) -> Tokens:
        return self.side.tokens

    @property
    def minted(self) -> Minted:
        return self.side.minted

    @property
    def login(self) -> TokenLogin:
        return self.side.login
