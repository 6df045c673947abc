"""What everything else stands on: errors, settings, files, the machine."""
