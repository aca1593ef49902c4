"""The building blocks, one construct a file. They take plain keyword props and can be used outside this app."""
