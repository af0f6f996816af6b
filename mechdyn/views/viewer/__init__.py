"""The viewer of a whole run: a folder of pages and of data that they load as they need them, which opens from a disk."""
