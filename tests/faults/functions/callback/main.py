"""Callback with its steps watched, the handing in of a mail among them."""

from __future__ import annotations

from email.message import EmailMessage
from functools import wraps

from functions.callback import main as function
from functions.callback.mail import SmtpMailer
from tests.faults.edges import watch

steps = watch("callback")
send = SmtpMailer.send


@wraps(send)
def _send(self: SmtpMailer, message: EmailMessage) -> None:
    steps.take("before handing in a mail")
    send(self, message)
    steps.take("after handing in a mail")


SmtpMailer.send = _send  # type: ignore[method-assign]

main = function.main
