"""Tests: unit (pure), integration (real Postgres, Redis, sockets), acceptance (the whole chain)."""
