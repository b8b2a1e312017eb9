"""The status page: what people of a site see in a browser, and what they may do there."""
