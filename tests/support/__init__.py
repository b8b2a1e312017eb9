"""What tests share: computed images, senders, private servers, independent readers."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
