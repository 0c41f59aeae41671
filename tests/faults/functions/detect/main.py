"""Detect with its steps watched; the coded engine stands in for the real one unless TROMBI_FAULTS_ENGINE is "real"."""

from __future__ import annotations

import os

from functions.detect import main as function
from functions.detect import packs
from tests.faults import coded_photos
from tests.faults.edges import watch

watch("detect")
if os.environ.get("TROMBI_FAULTS_ENGINE") != "real":
    function.Engine = coded_photos.CodedEngine  # type: ignore[assignment,attr-defined]
    packs.verify = coded_photos.no_verification  # type: ignore[assignment]

main = function.main
