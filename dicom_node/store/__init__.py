"""The object store: files are copied there before they leave this site's folders, and come home from there."""
