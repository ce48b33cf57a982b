"""The recording: facts, opinions and wishes of trainings in one SQLite file (numpy and sqlite3 only)."""

from .errors import SessionError, nearest
from .facts import BlobRef, Buckets, Diagnosis, Event, Remedy, Run, Wish
from .library import Summary, default_folder, library, summary_of
from .numbers import json_number, json_numbers, number_from_json, numbers_from_json
from .playhead import Playhead
from .recorder import Recorder, RunRecorder
from .segment import Group
from .session import Session

__all__ = [
    "BlobRef",
    "Buckets",
    "Diagnosis",
    "Event",
    "Group",
    "Playhead",
    "Recorder",
    "Remedy",
    "Run",
    "RunRecorder",
    "Session",
    "SessionError",
    "Summary",
    "Wish",
    "default_folder",
    "json_number",
    "json_numbers",
    "library",
    "nearest",
    "number_from_json",
    "numbers_from_json",
    "summary_of",
]
