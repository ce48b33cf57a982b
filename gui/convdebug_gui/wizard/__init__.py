"""The guided sanity checks: a page for each check, all of them small viewers of one session."""
