"""The science database: write and open the working database and releases."""
