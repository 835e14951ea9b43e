"""Who may do what: users, passwords, policy."""
