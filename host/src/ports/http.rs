//! Requests to the platform: the one place that holds the token and names the origin.
