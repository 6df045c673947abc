"""Pictures: one style, and the figures of chapters, records and labs."""
