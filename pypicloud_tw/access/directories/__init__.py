"""Users who are kept elsewhere: in a file of htpasswd, in a directory (LDAP)."""
