"""The demo: a host app, a sample event and a contact sheet."""
