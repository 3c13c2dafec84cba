"""`python -m dollymix`."""

from dollymix.cli import main

if __name__ == "__main__":
    main()
