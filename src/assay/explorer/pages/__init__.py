"""The explorer's pages: each a function from the library, what the address names, and the query
string, to what is shown."""
