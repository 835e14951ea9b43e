"""A new folder of objects that is made in a helper process (decision D1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from pypicloud_tw.store.checkpoints import pass_by
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.scratch import Draft
from pypicloud_tw.store.folder.tree import Folder
from pypicloud_tw.store.interfaces import Notice
from pypicloud_tw.store.keys import key_segments


@frozen
class FolderPlacer:
    """See :class:`.interfaces.Placer`.

    :ivar path: of the store's folder, and which that is.
    :ivar draft: a name in this server's scratch folder; so is that of the notice.
    :ivar key: of the objects' folder.
    :ivar known: the inode of the folder above, if its name is known to be durable.
    """

    path: Path
    identity: tuple[int, int] | None
    draft: Path
    key: str
    known: int | None
    notice_draft: Path
    when: float

    def place(self, objects: Mapping[str, bytes], notice: Notice | None) -> object:
        """See :class:`.interfaces.Placer`: gives what is to be known from now on."""
        folder = Folder(self.path, lambda: self.when, pass_by, identity=self.identity)
        *above, name = key_segments(self.key)
        if self.known is not None:
            folder.learn_durable(above, self.known)
        with explained(self.path):
            if notice is not None:
                self._tell(folder, notice)
            encoded = {name.encode(): data for name, data in objects.items()}
            folder.place_together(self.draft, (*above, name), encoded)
        return folder.known_durable(above)

    def _tell(self, folder: Folder, notice: Notice) -> None:
        draft = Draft.begin(self.notice_draft)
        try:
            draft.file.write(notice.data)
            draft.file.flush()
            folder.place(draft, notice.key, None)
        finally:
            draft.discard()
