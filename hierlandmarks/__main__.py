"""`python -m hierlandmarks`: the command line where its script is not on the path."""

from hierlandmarks.cli import main

if __name__ == "__main__":
    main()
