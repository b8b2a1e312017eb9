"""Addresses of application entities are written one way."""

import pytest

from db.address import ApplicationEntity, hide_secrets
from db.errors import BadAddress


def test_a_destination_is_aet_at_host_and_port() -> None:
    assert ApplicationEntity.parse_url("dicom://PACS@10.0.0.5:104") == ApplicationEntity("PACS", "10.0.0.5", 104)


def test_an_ipv6_host_stands_in_brackets() -> None:
    assert ApplicationEntity.parse_url("dicom://PACS@[::1]:104").host == "::1"


@pytest.mark.parametrize(
    "url",
    [
        "PACS@host:104",
        "dicom://host:104",
        "dicom://PACS@host",
        "dicom://PACS@host:0",
        "dicom://PACS@host:70000",
        "dicom://   @host:104",
        "dicom://SEVENTEENLETTERSX@host:104",
        "dicom://PA\\CS@host:104",
    ],
)
def test_what_is_no_destination_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(BadAddress):
        ApplicationEntity.parse_url(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3/cr@et@pacs.example/dicom-web answers", "https://***@pacs.example/dicom-web answers"),
        ("redis://:s3cret@h:6379/0, dicom://PACS@h:104", "redis://***@h:6379/0, dicom://PACS@h:104"),
        ("dicom+tls://PACS@h:104", "dicom+tls://PACS@h:104"),
        ("for url 'https://h/x?access_token=s3cret&limit=2'", "for url 'https://h/x?access_token=***&limit=2'"),
        ("DB_URL=postgresql://user:password@host/name", "DB_URL=postgresql://user:password@host/name"),
        ("mail a@b.example, see https://h/x", "mail a@b.example, see https://h/x"),
    ],
)
def test_secrets_of_urls_are_hidden_and_ae_titles_are_not(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown
