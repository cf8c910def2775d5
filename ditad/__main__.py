"""`python -m ditad`: the same as the command `ditad`."""

from ditad.cli import main

if __name__ == "__main__":
    main()
