"""What draws responses: transformers, vLLM, an endpoint, several processes."""
