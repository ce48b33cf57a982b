"""All patients of the clinic, the sick and the healthy."""

from __future__ import annotations

from . import (
    drawn,
    healthy,
    referred_healthy,
    referred_sick,
    second_healthy,
    second_sick,
    sick,
    third_healthy,
    third_sick,
)
from .patient import Patient


def all_patients() -> list[Patient]:
    """The sick, then the healthy, in the order of their ailments; first those of no referral, and none of the drawn."""
    modules = (sick, healthy, referred_sick, referred_healthy, second_sick, second_healthy, third_sick, third_healthy)
    return [patient for module in modules for patient in module.patients()]


def patient_named(name: str) -> Patient:
    """The patient of that name; a drawn one is drawn again."""
    if name.startswith(drawn.PREFIX):
        return drawn.drawn_named(name)
    return next(patient for patient in all_patients() if patient.name == name)
