"""``python -m s3rec_lite`` is the command ``s3rec-lite``."""

from s3rec_lite.commands.start import main

if __name__ == "__main__":
    main(prog_name="s3rec-lite")
