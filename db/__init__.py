"""Keeps what happened in a database: tables, states, tracking, audit views, migrations."""
