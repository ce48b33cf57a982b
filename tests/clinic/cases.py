"""All patients of the clinic, the sick and the healthy."""

from __future__ import annotations

from . import healthy, referred_healthy, referred_sick, sick
from .patient import Patient


def all_patients() -> list[Patient]:
    """The sick, then the healthy, in the order of their ailments; the referred after the others."""
    return [*sick.patients(), *healthy.patients(), *referred_sick.patients(), *referred_healthy.patients()]


def patient_named(name: str) -> Patient:
    """The patient of that name."""
    return next(patient for patient in all_patients() if patient.name == name)
