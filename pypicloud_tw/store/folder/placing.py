"""A new folder of objects that is made in a helper process (decision D1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.scratch import Draft
from pypicloud_tw.store.folder.tree import Folder, Identified
from pypicloud_tw.store.interfaces import Notice
from pypicloud_tw.store.keys import key_segments


@frozen
class FolderPlacer:
    """See :class:`.interfaces.Placer`.

    :ivar store: the store's folder; see :attr:`.Folder.beside`.
    :ivar draft: a name in this server's scratch folder; so is that of the notice.
    :ivar key: of the objects' folder.
    :ivar known: the inode of the folder above, if its name is known to be durable.
    """

    store: Identified
    draft: Path
    key: str
    known: int | None
    notice_draft: Path
    when: float

    def place(self, objects: Mapping[str, bytes], notice: Notice | None) -> object:
        """See :class:`.interfaces.Placer`: gives what is to be known from now on."""
        folder = Folder.again(self.store, lambda: self.when)
        *above, name = key_segments(self.key)
        if self.known is not None:
            folder.learn_durable(above, self.known)
        with explained(folder.path):
            if notice is not None:
                told = Draft.begin(self.notice_draft)
                folder.put(told, notice.key, notice.data, None)
            encoded = {name.encode(): data for name, data in objects.items()}
            folder.place_together(self.draft, (*above, name), encoded)
        return folder.known_durable(above)
