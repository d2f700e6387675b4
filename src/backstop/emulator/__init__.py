"""A model provider to practise against: a local HTTP server that plays a script per model on three wires, OpenAI chat completions,
Anthropic Messages and Bedrock Converse.

Its good answers are derived from the evidence in the request, and so are its plausible wrong ones; a script names a behaviour,
never an object. It shares no code with gates, rules or records: its opinions are its own. Every reply is labelled.
"""
