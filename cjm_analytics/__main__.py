"""`python -m cjm_analytics` is `cjm`."""

from cjm_analytics.cli import main

if __name__ == "__main__":
    main()
