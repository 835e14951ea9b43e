"""Files of settings that are changed: seen before, and written whole or not at all."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path
from tempfile import NamedTemporaryFile

from attrs import field, frozen

from pypicloud_tw.errors import ConfigError

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
        lines = unified_diff(
            (self.before or "").splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            str(self.path) if self.before is not None else os.devnull,
            str(self.path),
            n=0,
        )
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )

    def write(self) -> None:
        """Put it in its place at once; a link goes on leading to it.

        :raises OSError: it cannot be written.
        """
        target = Path(os.path.realpath(self.path))
        target.parent.mkdir(parents=True, exist_ok=True)
        # tempfile's mode is 0600; in the same folder, so that it can be moved.
        with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
            try:
                os.fchmod(file.fileno(), self._mode(target))
                file.write(self.after.encode())
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _mode(self, target: Path) -> int:
        if self.private:
            return PRIVATE
        if target.exists():
            return target.stat().st_mode & 0o777
        mask = os.umask(0)
        os.umask(mask)
        return USUAL & ~mask


def read(path: Path) -> str | None:
    """Read a file; None: there is none.

    :raises ConfigError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            # A device would be replaced.
            raise ConfigError([f"{path} is no file."])
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError([f"{path} is not UTF-8 text."]) from None
    except OSError as e:
        raise ConfigError([f"{path} cannot be read: {e.strerror}."]) from None
