"""Backstop: an on-call SRE agent for Kubernetes that survives a model which is up, confident, plausible and wrong."""
