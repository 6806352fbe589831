"""`make api`: docs/api.md, made of the comments of dbus/*.xml and of busctl lines that were really run."""
