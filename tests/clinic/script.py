"""A training script as anybody's: trains the patient named on its command line, and knows of no debugger."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.clinic.cases import patient_named
from tests.clinic.regimen import train

if __name__ == "__main__":
    train(patient_named(sys.argv[1]).regimen)
