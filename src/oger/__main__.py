"""`python -m oger`: the `oger` command, for where no script of that name is on the path."""

import sys

if __name__ == "__main__":
    # The working folder, which `main` leaves; nothing that lies there is imported before that.
    here = [] if sys.flags.safe_path else [sys.path.pop(0)]
    from oger.cli.main import main

    sys.path[:0] = here
    main()
