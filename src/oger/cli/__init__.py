"""The `oger` command."""
