"""The keys of the ways to log in, and what must agree among them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.certificate_patterns import CertificatePattern
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.config.login_checks import user_attribute
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.errors import ConfigError

LDAP = "auth.ldap.url = ldap://ldap.corp\n"
DN = "auth.ldap.user_dn_format = uid={username},dc=corp\n"
SEARCH = (
    "auth.ldap.base_dn = dc=corp\nauth.ldap.user_search_filter = (uid={username})\n"
)


class LoginsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def load(self, text: str) -> Config:
        self.path.write_text(f"[pypicloud]\npypi.use_fallback = false\n{text}")
        return load(self.path, {})

    def problem(self, text: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            self.load(text)
        return "\n".join(caught.exception.problems)


class OidcLoginTests(LoginsCase):
    ISSUER = "oidc_login.issuer = https://login.corp/x/\n"
    CLIENT = "oidc_login.client_id = pypi\n"

    def test_settings(self) -> None:
        secret = "oidc_login.client_secret = hush-hush\n"
        config = self.load(f"{self.ISSUER}{self.CLIENT}{secret}")
        login = config.oidc_login
        self.assertEqual(login.issuer, "https://login.corp/x/", "As it is.")
        self.assertEqual(login.client_secret, "hush-hush")
        self.assertNotIn("hush", repr(config))
        self.assertEqual(login.scopes, ("openid", "profile", "email"))
        self.assertFalse(login.service_accounts)

    def test_mistakes(self) -> None:
        scopes = "oidc_login.scopes = profile\n"
        for text, sentence in (
            (self.ISSUER, "needs oidc_login.client_id"),
            (f"{self.ISSUER}{self.CLIENT}{scopes}", "must have openid in it"),
            ("oidc_login.issuer = http://login.corp", "is not https"),
            ("oidc_login.issuer = https://a:b@login.corp", "do not belong here"),
            ("oidc_login.client_id = a b", "not one word"),
            ("auth.session_life = 1m", "too short"),
            ("auth.session_life = 31d", "too long"),
        ):
            self.assertIn(sentence, self.problem(text))

    def test_notices(self) -> None:
        self.assertEqual(
            self.load(self.CLIENT).notices,
            ("Not used, as oidc_login.issuer is not set: oidc_login.client_id.",),
        )


class LdapTests(LoginsCase):
    def test_keys_of_the_program_before(self) -> None:
        """As the documentation of pypicloud 1.3 has them, but for ignore_cert."""
        config = self.load(
            "auth.ldap.url = ldap://ldap.corp ldaps://[fd00::1]:10636/\n"
            "auth.ldap.service_dn = cn=admin,dc=corp,dc=example\n"
            "auth.ldap.service_password = with blanks, and commas\n"
            "auth.ldap.service_username = robot\n"
            "auth.ldap.base_dn = ou=people, dc=corp\n"
            "auth.ldap.user_search_filter = (&(objectClass=person)(uid={username}))\n"
            "auth.ldap.admin_field = permissions\n"
            "auth.ldap.admin_value =\n    pypi admin\n    root\n"
            "auth.ldap.cache_time = 60\n"
            "auth.ldap.ignore_cert = false\n"
            "auth.ldap.ignore_referrals = true\n"
            "auth.ldap.ignore_multiple_results = true\n"
            "auth.ldap.fallback = config\n"
        )
        ldap = config.ldap
        self.assertEqual(ldap.url, ("ldap://ldap.corp:389", "ldaps://[fd00::1]:10636"))
        self.assertEqual(ldap.base_dn, "ou=people, dc=corp")
        self.assertEqual(ldap.service_password, "with blanks, and commas")
        self.assertEqual(ldap.admin_value, ("pypi admin", "root"))
        self.assertEqual(ldap.cache_time, 60.0)
        self.assertEqual(user_attribute(ldap), "uid")
        self.assertIn("ignore_multiple_results has no effect", config.notices[0])
        self.assertNotIn("with blanks", repr(config))

    def test_contradictions(self) -> None:
        for text, sentence in [
            (LDAP, "needs auth.ldap.user_dn_format, or both"),
            (LDAP + "auth.ldap.base_dn = dc=corp", "needs auth.ldap.user_dn_format"),
            (LDAP + DN + SEARCH, "exclude each other"),
            (
                LDAP + "auth.ldap.user_dn_format = {username}",
                "auth.ldap.user_attribute must say",
            ),
            (LDAP + DN + "auth.ldap.service_dn = cn=x", "needs auth.ldap.service_pass"),
            (
                LDAP + DN + "auth.ldap.service_username = x",
                "needs auth.ldap.service_dn",
            ),
            (LDAP + DN + "auth.ldap.admin_field = x", "belong together"),
            (LDAP + DN + "auth.ldap.tokens = true", "needs auth.ldap.service_dn"),
            (LDAP + DN + "auth.ldap.ignore_cert = true", "auth.ldap.ca_file"),
            (LDAP + DN + "auth.ldap.ca_file = none.pem", "there is no such file"),
            ("auth.ldap.url = http://x", "write it as ldaps://host"),
            ("auth.ldap.url = ldap://u:p@x", "does not belong here"),
            ("auth.ldap.url = ldap://x/dc=corp", "does not belong here"),
            ("auth.ldap.url = ldap://x:0", "is not a URL"),
            ("auth.ldap.user_dn_format = uid=bob", "no {username}"),
            ("auth.ldap.admin_field = two words", "not the name of an attribute"),
            ("auth.ldap.nonsense = 1", "there is no key"),
        ]:
            self.assertIn(sentence, self.problem(text))

    def test_notices(self) -> None:
        notices = self.load(f"{LDAP}{DN}auth.ldap.start_tls = false\n").notices
        self.assertIn("passwords travel", notices[0])
        notices = self.load(DN).notices
        self.assertEqual(
            notices,
            ("Not used, as auth.ldap.url is not set: auth.ldap.user_dn_format.",),
        )

    def test_attribute_that_names_a_user(self) -> None:
        for form, attribute in {
            "(uid={username})": "uid",
            "(&(a=b)(|(samName = {username})(mail={username})))": "samName",
            "(mail={username}@corp)": "mail",
        }.items():
            ldap = LdapSection(user_search_filter=form)
            self.assertEqual(user_attribute(ldap), attribute)
        chosen = LdapSection(user_dn_format="uid={username}", user_attribute="cn")
        self.assertEqual(user_attribute(chosen), "cn")


class OtherLoginsTests(LoginsCase):
    def test_proxy(self) -> None:
        trusted = "pypi.trusted_proxies = 10.0.0.1\n"
        logins = self.load(
            f"{trusted}auth.remote_user_header = Remote-User\n"
            "auth.remote_groups_header = remote-groups\n"
        ).logins
        self.assertEqual(logins.remote_user_header, "Remote-User")
        user = "auth.remote_user_header = X-Remote-User\n"
        self.load(f"{user}server.listen = unix:/run/x.sock\n")
        for text, sentence in [
            (user, "is believed of nobody"),
            (trusted + "auth.remote_groups_header = x", "only with auth.remote_user"),
            (trusted + "auth.remote_user_header = Authorization", "something else"),
            (trusted + "auth.remote_user_header = X-Forwarded-For", "something else"),
            (trusted + "auth.remote_user_header = X_User", "not the name of a header"),
        ]:
            self.assertIn(sentence, self.problem(text))

    def test_certificates(self) -> None:
        self.path.with_name("ca.pem").write_text("")
        ca_file = "server.client_ca_file = ca.pem\n"
        listen = "server.listen = ssl:443:privateKey=x.pem\n"
        pattern = "auth.certificate_user = cn:{user}, email:{user}@corp.org\n"
        logins = self.load(ca_file + listen + pattern).logins
        self.assertEqual(logins.certificate_user[0], CertificatePattern("cn", "{user}"))
        for text, sentence in [
            (pattern, "needs server.client_ca_file"),
            (ca_file, "needs a server.listen that is an ssl: endpoint"),
            ("auth.certificate_user = cn:bob", "is not as cn:{user}"),
            ("server.client_certificate = maybe", "optional or required"),
        ]:
            self.assertIn(sentence, self.problem(text))

    def test_htpasswd(self) -> None:
        self.assertIn("no such file", self.problem("auth.htpasswd = none"))
        self.path.with_name("users").write_text("")
        logins = self.load("auth.htpasswd = users").logins
        self.assertEqual(logins.htpasswd, self.path.absolute().with_name("users"))
