"""Files of settings that are changed: seen before, and written whole or not at all."""

from __future__ import annotations

import codecs
import errno
import os
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path

from attrs import field, frozen

from pypicloud_tw.drafts import draft_in
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers.lines import split

#: What only its owner may read, and what others may as far as their mask lets them.
PRIVATE, USUAL = 0o600, 0o666


@frozen
class Change:
    """A file as it is, and as it is to be.

    :ivar private: it is made such that only its owner may read it.
    """

    path: Path
    before: str | None = field(repr=False)
    after: str = field(repr=False)
    private: bool = False

    @property
    def needed(self) -> bool:
        """Whether anything is to be written."""
        return self.before != self.after

    def diff(self) -> str:
        """Show the lines that change, and none beside them: those may be secret."""
        # Without their ends: the last line may get one, and may be a password.
        lines = unified_diff(
            _shown(self.before or ""),
            _shown(self.after),
            str(self.path) if self.before is not None else os.devnull,
            str(self.path),
            n=0,
            lineterm="",
        )
        return "".join(f"{line}\n" for line in lines)

    def write(self) -> None:
        """Put it in its place at once; a link goes on leading to it.

        :raises OSError: it cannot be written.
        """
        target = Path(os.path.realpath(self.path))
        try:
            self._write(target)
        except OSError as e:
            # It may be of a file that nobody knows, or name none.
            raise OSError(e.errno, e.strerror, str(target)) from e

    def _write(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not os.access(target, os.W_OK):
            # Its folder would let it be replaced.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with draft_in(target.parent) as file:
            self._become_like(target, file.fileno())
            file.write(self.after.encode())
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)

    def _become_like(self, target: Path, file: int) -> None:
        """Have a new file belong to whom the old one does, who can then read it."""
        if target.exists():
            there = target.stat()
            # Who is not root may give nothing away.
            with suppress(PermissionError):
                os.fchown(file, there.st_uid, there.st_gid)
        os.fchmod(file, self._mode(target))

    def _mode(self, target: Path) -> int:
        if self.private:
            return PRIVATE
        if target.exists():
            return target.stat().st_mode & 0o777
        mask = os.umask(0)
        os.umask(mask)
        return USUAL & ~mask


def _shown(text: str) -> list[str]:
    return [line.rstrip("\r\n") for line in split(text)]


def read(path: Path) -> str | None:
    """Read a file; None: there is none.

    :raises ConfigError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            # A device would be replaced.
            raise ConfigError([f"{path} is no file."])
        data = path.read_bytes()
        if data.startswith(codecs.BOM_UTF8):
            # Found out with each of them.
            raise ConfigError(
                [
                    f"{path} begins with a byte order mark, which of all these clients "
                    "only uv can read: save it as UTF-8 without one."
                ]
            )
        return data.decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError([f"{path} is not UTF-8 text."]) from None
    except OSError as e:
        raise ConfigError([f"{path} cannot be read: {e.strerror}."]) from None
