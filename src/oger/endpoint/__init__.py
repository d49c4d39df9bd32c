"""OpenAI-compatible endpoints: one request with its retries, and what a reply may be."""
