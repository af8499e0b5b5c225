"""The user's own data, given by path: npz files, tables and folders of pictures."""
