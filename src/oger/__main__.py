"""`python -m oger`: the `oger` command, for where no script of that name is on the path."""

from oger.cli.main import main

if __name__ == "__main__":
    main()
