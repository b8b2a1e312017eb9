"""What happens after an image is durable: register, judge, route, open jobs, wake workers, clean."""
