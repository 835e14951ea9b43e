"""Messages come in pieces; configurations go whole."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.config.load import load
from pypicloud_tw.workers.messages import Messages, encode, pack, unpack

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("\udc80"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class MessagesTests(SynchronousTestCase):
    @given(
        st.lists(st.dictionaries(st.text(), _VALUES), max_size=4),
        st.lists(st.integers(1, 40), max_size=20),
    )
    def test_however_they_are_cut(self, sent: list[object], cuts: list[int]) -> None:
        data = b"".join(encode(one) for one in sent)  # type: ignore[arg-type]
        messages = Messages()
        got: list[object] = []
        for cut in cuts:
            got += messages.feed(data[:cut])
            data = data[cut:]
        got += messages.feed(data)
        self.assertEqual(got, sent)


class ConfigurationTests(SynchronousTestCase):
    def test_everything_arrives(self) -> None:
        ini = Path(self.mktemp())
        hashed = hash_password("a password")
        ini.write_text(
            "[pypicloud]\n"
            "server.workers = 3\n"
            f"user.ann = {hashed}\n"
            "group.team = ann\n"
            "package.acme-*.group.team = rw\n"
            "pypi.private = acme-*\n"
            "pypi.trusted_proxies = 10.0.0.0/8\n"
        )
        config = load(ini, {})
        packed = pack(config)
        self.assertNotIn(hashed, packed)
        arrived = unpack(packed)
        self.assertEqual(arrived, config)
        self.assertEqual(arrived.users, {"ann": hashed})
        with self.assertRaises(TypeError):
            arrived.users["bob"] = ""  # type: ignore[index]  # that is what is tested
