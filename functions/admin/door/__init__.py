"""What every request passes through: authentication, authorisation, kept answers, the audit of reads, errors."""
