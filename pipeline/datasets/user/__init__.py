"""Reads the user's own data, given by path: npz files, tables, folders of pictures or texts."""
