"""The sub-commands of ``s3rec-lite``. Heavy modules are imported inside them: ``--help`` is instant."""
