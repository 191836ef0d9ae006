"""`python -m tesela`: the program, also where its command is not on the path."""

from tesela.cli.main import main

if __name__ == "__main__":
    main()
