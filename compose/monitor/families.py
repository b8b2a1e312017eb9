"""The metrics of a site: the names, kinds, labels and meanings that dashboards and alerts rely on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """One metric: its name without any ending, its meaning and its labels."""

    name: str
    meaning: str
    labels: Labels = ()
    is_counter: bool = False

    def metric(self, values: Mapping[Any, float]) -> Metric:
        """Return the metric with a sample for each tuple of label values."""
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        metric = kind(self.name, self.meaning, labels=self.labels)
        for labels, value in values.items():
            metric.add_metric(labels, value)
        return metric


PART_READY = Family("scleroscan_part_ready", "1 where a part of the site answers or beats, else 0", ("part",))
IMAGES = Family("scleroscan_images_received", "Images registered", is_counter=True)
IMAGE_BYTES = Family("scleroscan_image_bytes_received", "Bytes of the images registered", is_counter=True)
REFUSED = Family("scleroscan_images_refused", "Images refused where they were sent, by code", ("code",), True)
SET_ASIDE = Family("scleroscan_images_set_aside", "Images acknowledged and set aside, by code", ("code",))
WAITING_IMAGES = Family("scleroscan_images_waiting", "Images in the spool that wait to be registered")
WAITING_IMAGES_S = Family("scleroscan_images_waiting_seconds", "Seconds that the oldest of them has waited")
SERIES = Family("scleroscan_series", "Series by state", ("state",))
OLDEST_OPEN_S = Family("scleroscan_oldest_open_series_seconds", "Age of the series that has been receiving longest")
JOBS = Family("scleroscan_jobs", "Jobs by state", ("state",))
STOPPED = Family("scleroscan_jobs_stopped", "Jobs rejected, failed or in review, by code", ("state", "code"))
QUEUE = Family("scleroscan_queue_depth", "Jobs or deliveries that are due and not begun", ("queue",))
QUEUE_S = Family("scleroscan_queue_oldest_seconds", "Seconds that the oldest of them has been due", ("queue",))
DELIVERIES = Family("scleroscan_deliveries", "Objects by state and destination", ("state", "destination"))
DISK_FREE = Family("scleroscan_disk_free_bytes", "Bytes free at a folder", ("folder",))
DISK_SIZE = Family("scleroscan_disk_size_bytes", "Bytes of the file system of a folder", ("folder",))
STAGE = Family("scleroscan_stage_seconds", "Seconds that a stage took, of those that came to their end", ("stage",))
BUILD = Family("scleroscan_build_info", "1, with the version that runs", ("version",))


def stage_metric(times: Iterable[tuple[str, int, float]]) -> Metric:
    """Return the summary of (stage, how often, seconds in all)."""
    metric = SummaryMetricFamily(STAGE.name, STAGE.meaning, labels=STAGE.labels)
    for stage, runs, seconds in times:
        metric.add_metric((stage,), count_value=runs, sum_value=seconds)
    return metric
