"""The daemon's side of the JACK host: its process, its memory, and the presence of a server. No libjack here."""
