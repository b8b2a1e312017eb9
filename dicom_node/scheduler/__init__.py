"""The work after an image is durable: register it, judge and route its series, open jobs, wake workers, clean."""
