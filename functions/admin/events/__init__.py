"""Events: settings, consent, members and progress."""
