"""``python -m sallyport_cli``."""

from sallyport_cli.entry import main

if __name__ == "__main__":
    main()
