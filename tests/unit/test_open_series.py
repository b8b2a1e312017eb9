"""Which series a connection still holds back."""

from dicom_node.handlers import OpenSeries


def test_a_series_is_open_from_its_first_image_to_the_end_of_the_association() -> None:
    series = OpenSeries()
    series.opened(1)
    assert "1.2" not in series
    series.carried(1, "1.2")
    assert "1.2" in series
    series.ended(1)
    assert "1.2" not in series


def test_an_image_written_after_its_sender_hung_up_holds_nothing_back() -> None:
    series = OpenSeries()
    series.opened(1)
    series.ended(1)
    series.carried(1, "1.2")
    assert "1.2" not in series


def test_a_series_over_two_associations_is_open_until_both_have_ended() -> None:
    series = OpenSeries()
    for association in (1, 2):
        series.opened(association)
        series.carried(association, "1.2")
    series.ended(1)
    assert "1.2" in series
    series.ended(2)
    assert "1.2" not in series
