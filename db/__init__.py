"""What happened: tables, states, tracking, audit views, migrations."""
