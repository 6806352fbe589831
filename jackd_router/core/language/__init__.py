"""The language of the configuration: from documents to values, with every mistake and its place, and back to text."""
