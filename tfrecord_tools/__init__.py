"""Commands that make and check TFRecords."""
