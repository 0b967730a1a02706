"""What a report says, whichever its format: entries, rows, sections, sentences."""
